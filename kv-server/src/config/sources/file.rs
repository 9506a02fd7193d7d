//! Settings in a TOML file.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::Gathered;
use crate::config::members::MemberDraft;
use crate::config::settings::{MEMBERS, SETTINGS};
use crate::text::nearest;

pub(super) fn gather(path: &Path, gathered: &mut Gathered) {
    let shown = path.display().to_string();
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return gathered.problems.add(shown, format!("cannot read the configuration: {error}")),
    };
    let places = Places { file: &shown, text: &text };
    match DeTable::parse(&text) {
        Ok(table) => Reader { places, gathered }.table(None, table.get_ref()),
        Err(error) => {
            let place = error.span().map_or_else(|| shown.clone(), |span| places.at(span.start));
            gathered.problems.add(place, error.message().to_string());
        }
    }
}

/// Turns an offset into a line.
#[derive(Clone, Copy)]
struct Places<'a> {
    file: &'a str,
    text: &'a str,
}

impl Places<'_> {
    fn at(&self, offset: usize) -> String {
        let before = self.text.as_bytes().get(..offset).unwrap_or_default();
        format!("{}:{}", self.file, before.iter().filter(|byte| **byte == b'\n').count() + 1)
    }
}

struct Reader<'a> {
    places: Places<'a>,
    gathered: &'a mut Gathered,
}

impl Reader<'_> {
    fn table(&mut self, section: Option<&str>, table: &DeTable<'_>) {
        for (name, value) in table {
            let place = self.places.at(name.span().start);
            let key = match section {
                Some(section) => format!("{section}.{}", name.get_ref()),
                None => name.get_ref().to_string(),
            };
            match value.get_ref() {
                value if key == MEMBERS => self.members(value, place),
                DeValue::Table(inner) if section.is_none() && is_section(&key) => {
                    self.table(Some(&key), inner)
                }
                value => match scalar(value) {
                    Some(text) if self.gathered.set(&key, &text, place.clone()) => {}
                    None if SETTINGS.iter().any(|setting| setting.key == key) => {
                        self.gathered
                            .problems
                            .add(place, format!("{key} is a single value, not {}", value.type_str()));
                    }
                    _ => self.unknown(&key, matches!(value, DeValue::Table(_)), place),
                },
            }
        }
    }

    fn unknown(&mut self, key: &str, is_section: bool, place: String) {
        let (what, candidates) = if is_section {
            ("section", sections().into_iter().collect::<Vec<_>>())
        } else {
            ("key", SETTINGS.iter().map(|setting| setting.key).chain([MEMBERS]).collect())
        };
        let nearest = nearest(key, candidates).map(String::from);
        self.gathered.unknown(what, key, nearest, place);
    }

    fn members(&mut self, value: &DeValue<'_>, place: String) {
        let tables: Option<Vec<_>> = value.as_array().map(|array| array.iter().collect()).filter(
            |array: &Vec<&toml::Spanned<DeValue<'_>>>| array.iter().all(|member| member.get_ref().is_table()),
        );
        let Some(tables) = tables else {
            let message = "members is a list of tables: write [[members]], and under it id = 1 and address = \"host:port\"";
            return self.gathered.problems.add(place, message);
        };
        let before = self.gathered.problems.0.len();
        let mut members = Vec::new();
        for member in tables {
            let start = self.places.at(member.span().start);
            let mut draft = MemberDraft::default();
            for (name, value) in member.get_ref().as_table().into_iter().flatten() {
                let place = self.places.at(name.span().start);
                let field = name.get_ref();
                let read = scalar(value.get_ref()).and_then(|text| draft.set(field, &text));
                match read {
                    Some(Ok(())) => {}
                    Some(Err(message)) => self.gathered.problems.add(place, format!("{field}: {message}")),
                    None => {
                        let nearest = nearest(field, MemberDraft::fields()).map(String::from);
                        self.gathered.unknown("key of a member", field, nearest, place);
                    }
                }
            }
            match draft.finish() {
                Ok(member) => members.push(member),
                // Said already if a field could not be read.
                Err(_) if self.gathered.problems.0.len() > before => {}
                Err(message) => self.gathered.problems.add(start, message),
            }
        }
        if self.gathered.problems.0.len() == before {
            self.gathered.set_members(Ok(members), place);
        }
    }
}

/// A single value as the text that an environment variable would have.
fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Boolean(value) => Some(value.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_string()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number.to_string())
        }
        DeValue::Float(number) => Some(number.as_str().to_string()),
        _ => None,
    }
}

fn sections() -> BTreeSet<&'static str> {
    SETTINGS.iter().filter_map(|setting| setting.key.split_once('.')).map(|(section, _)| section).collect()
}

fn is_section(name: &str) -> bool {
    sections().contains(name)
}
