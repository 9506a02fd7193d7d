use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use kv_core::key::Key;
use serde::{Deserialize, Serialize};

use crate::console::complain;
use crate::text::from_hex;
use crate::transfer::{Entry, Format, json};

/// Entries that are written together: at most so many, and about so many bytes.
const ENTRIES_MAX: usize = 200;
const BYTES_MAX: usize = 1 << 20;

/// Longest line of a file.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// With which some programs begin text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Bytes before a place by which a file is recognised.
const SEEN_BYTES: u64 = 64;

/// Lines that are shown of those that are left out.
const SHOWN_MAX: u64 = 5;

/// Under which those lines are counted.
const BAD_LINES: &str = "lines that are no entries";

/// Entries, and how far the source has come with them.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) entries: Vec<Entry>,
    pub(crate) mark: Mark,
}

/// A place in a source, from which it goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// Bytes of a file, or the cursor of a Redis.
    pub(crate) position: u64,
    /// Lines up to there.
    pub(crate) lines: u64,
    /// Entries up to there.
    pub(crate) entries: u64,
    /// What was left out, by reason.
    pub(crate) skipped: BTreeMap<String, u64>,
    /// Entries that expire where they come from.
    pub(crate) expiring: u64,
}

/// Why nothing more comes from a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SourceError {
    /// A line is no entry.
    Bad(String),
    /// The source cannot be read.
    Broken(String),
}

/// Where entries come from.
pub(crate) trait Source: Send + 'static {
    /// The next entries; none at the end.
    fn next(&mut self) -> Result<Option<Batch>, SourceError>;

    /// How many keys the source has, if it can tell.
    fn count(&mut self) -> Option<u64>;
}

/// A file, or standard input.
#[derive(Debug)]
pub(crate) struct FileSource {
    name: String,
    lines: Lines,
    mark: Mark,
    skip_bad: bool,
    /// Reported once what came before it was given out.
    stopped_by: Option<SourceError>,
}

#[derive(Debug)]
enum Lines {
    Json(BufReader<Input>),
    Csv { reader: Box<csv::Reader<Input>>, columns: Columns, base: Mark },
}

#[derive(Debug)]
enum Input {
    File(File),
    Standard(io::Stdin),
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Input::File(file) => file.read(buffer),
            Input::Standard(input) => input.read(buffer),
        }
    }
}

/// In which columns of a CSV file keys and values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Columns {
    key: usize,
    value: usize,
    hex: bool,
    /// How many there are.
    count: usize,
}

impl FileSource {
    /// Opens a file, or standard input for `-`, at a place that it came to before. `columns` are the headings of keys and values in CSV, if they
    /// are not the usual ones.
    pub(crate) fn open(
        path: &Path,
        format: Format,
        columns: (Option<&str>, Option<&str>),
        mark: Mark,
        skip_bad: bool,
    ) -> Result<Self, String> {
        let name = path.display().to_string();
        let open = || match path.to_str() {
            Some("-") => Ok(Input::Standard(io::stdin())),
            _ => File::open(path).map(Input::File),
        };
        let cannot = |error: io::Error| format!("cannot read {name}: {error}");
        let mut input = open().map_err(cannot)?;
        let lines = match format {
            Format::Jsonl => {
                skip(&mut input, mark.position).map_err(cannot)?;
                Lines::Json(BufReader::with_capacity(1 << 18, input))
            }
            Format::Csv => {
                let mut reader = csv_reader(input, true);
                let headings = reader.headers().map_err(|error| format!("{name}: {error}"))?;
                let columns = Columns::find(headings, columns).map_err(|error| format!("{name}: {error}"))?;
                let reader = if mark.position > 0 {
                    let mut input = open().map_err(cannot)?;
                    skip(&mut input, mark.position).map_err(cannot)?;
                    csv_reader(input, false)
                } else {
                    reader
                };
                Lines::Csv { reader: Box::new(reader), columns, base: mark.clone() }
            }
        };
        Ok(FileSource { name, lines, mark, skip_bad, stopped_by: None })
    }

    /// Length of the file, if it is one.
    pub(crate) fn length(path: &Path) -> Option<u64> {
        PathBuf::from(path).metadata().ok().filter(std::fs::Metadata::is_file).map(|about| about.len())
    }

    /// What stands in the file right before a place: enough to tell it from another file. None if the file does not reach so far.
    pub(crate) fn before(path: &Path, position: u64) -> io::Result<Option<Vec<u8>>> {
        let mut file = File::open(path)?;
        if file.metadata()?.len() < position {
            return Ok(None);
        }
        let from = position.saturating_sub(SEEN_BYTES);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(position - from).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// The next entry, if there is one, and what is wrong with it, if anything is.
    fn entry(&mut self) -> Result<Option<Result<Entry, String>>, SourceError> {
        let broken = |error: &dyn std::fmt::Display| SourceError::Broken(format!("{}: {error}", self.name));
        match &mut self.lines {
            Lines::Json(reader) => loop {
                let mut line = Vec::new();
                let length = reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
                let length = length.map_err(|error| broken(&error))? as u64;
                if length == 0 {
                    return Ok(None);
                }
                self.mark.position += length;
                self.mark.lines += 1;
                if length == LINE_BYTES_MAX {
                    return Err(broken(&format!("line {} does not end", self.mark.lines)));
                }
                if self.mark.lines == 1 && line.starts_with(BYTE_ORDER_MARK) {
                    line.drain(..BYTE_ORDER_MARK.len());
                }
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                let text = std::str::from_utf8(&line).map_err(|error| error.to_string());
                return Ok(Some(text.and_then(json::decode)));
            },
            Lines::Csv { reader, columns, base } => {
                let mut row = csv::ByteRecord::new();
                let read = reader.read_byte_record(&mut row);
                let place = reader.position();
                self.mark.position = base.position + place.byte();
                self.mark.lines = base.lines + place.line().saturating_sub(1);
                match read {
                    Ok(true) => Ok(Some(columns.entry(&row))),
                    Ok(false) => Ok(None),
                    Err(error) if error.is_io_error() => Err(broken(&error)),
                    Err(error) => Ok(Some(Err(error.to_string()))),
                }
            }
        }
    }
}

impl Source for FileSource {
    fn next(&mut self) -> Result<Option<Batch>, SourceError> {
        if let Some(error) = self.stopped_by.take() {
            return Err(error);
        }
        let (mut entries, mut bytes, begun) = (Vec::new(), 0, self.mark.clone());
        while entries.len() < ENTRIES_MAX && bytes < BYTES_MAX {
            let before = self.mark.clone();
            match self.entry()? {
                None => break,
                Some(Ok(entry)) => {
                    bytes += entry.key.as_bytes().len()
                        + entry.values.iter().map(|value| value.bytes.len()).sum::<usize>();
                    self.mark.entries += 1;
                    entries.push(entry);
                }
                Some(Err(error)) => {
                    let message = format!("{}, line {}: {error}", self.name, self.mark.lines);
                    if !self.skip_bad {
                        // What came before it is written, and the line is read again once it was mended.
                        self.stopped_by = Some(SourceError::Bad(message));
                        self.mark = before;
                        break;
                    }
                    let count = self.mark.skipped.entry(BAD_LINES.into()).or_default();
                    *count += 1;
                    if *count <= SHOWN_MAX {
                        complain(&format!("kv: left out: {message}"));
                    }
                }
            }
        }
        if entries.is_empty()
            && let Some(error) = self.stopped_by.take()
        {
            return Err(error);
        }
        let is_over = entries.is_empty() && self.mark == begun;
        Ok((!is_over).then(|| Batch { entries, mark: self.mark.clone() }))
    }

    fn count(&mut self) -> Option<u64> {
        None
    }
}

impl Columns {
    fn find(
        headings: &csv::StringRecord,
        (key, value): (Option<&str>, Option<&str>),
    ) -> Result<Self, String> {
        let place = |name: &str| headings.iter().position(|heading| heading == name);
        if let (None, None, Some(key), Some(value)) = (key, value, place("key_hex"), place("value_hex")) {
            return Ok(Columns { key, value, hex: true, count: headings.len() });
        }
        let find = |name: &str, option: &str| {
            let known: Vec<&str> = headings.iter().collect();
            place(name).ok_or_else(|| {
                format!("there is no column '{name}' among {}: name one with {option}", known.join(", "))
            })
        };
        Ok(Columns {
            key: find(key.unwrap_or("key"), "--key-column")?,
            value: find(value.unwrap_or("value"), "--value-column")?,
            hex: false,
            count: headings.len(),
        })
    }

    fn entry(self, row: &csv::ByteRecord) -> Result<Entry, String> {
        if row.len() != self.count {
            return Err(format!("there are {} columns where the headings are {}", row.len(), self.count));
        }
        let field = |place| row.get(place).ok_or("there are too few columns");
        let bytes = |place, name: &str| match self.hex {
            false => Ok(field(place)?.to_vec()),
            true => {
                let digits = std::str::from_utf8(field(place)?).map_err(|error| error.to_string())?;
                from_hex(digits).map_err(|error| format!("{name} {error}"))
            }
        };
        let key = Key::new(bytes(self.key, "the key")?).map_err(|error| error.to_string())?;
        Ok(Entry { key, values: vec![Bytes::from(bytes(self.value, "the value")?).into()] })
    }
}

fn csv_reader(input: Input, has_headers: bool) -> csv::Reader<Input> {
    // Rows are held against the headings, which a reader that begins in the middle has not seen.
    let mut builder = csv::ReaderBuilder::new();
    builder.has_headers(has_headers).flexible(true).buffer_capacity(1 << 18).from_reader(input)
}

fn skip(input: &mut Input, bytes: u64) -> io::Result<()> {
    match input {
        _ if bytes == 0 => Ok(()),
        Input::File(file) => file.seek(SeekFrom::Start(bytes)).map(drop),
        Input::Standard(_) => Err(io::Error::other("standard input has no place to go on from")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(
        text: &str,
        format: Format,
        mark: Mark,
        skip_bad: bool,
    ) -> (Vec<Entry>, Mark, Option<SourceError>) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let mut source = FileSource::open(file.path(), format, (None, None), mark.clone(), skip_bad).unwrap();
        let (mut entries, mut last) = (Vec::new(), mark);
        loop {
            match source.next() {
                Ok(Some(batch)) => {
                    entries.extend(batch.entries);
                    last = batch.mark;
                }
                Ok(None) => return (entries, last, None),
                Err(error) => return (entries, last, Some(error)),
            }
        }
    }

    fn many(format: Format) -> String {
        let lines = (0..1_000).map(|number| match format {
            Format::Jsonl => format!("{{\"key\":\"k{number}\",\"value\":\"v{number}\"}}\n"),
            Format::Csv => format!("k{number},\"v,\n{number}\"\n"),
        });
        let headings = if format == Format::Csv { "key,value\n" } else { "" };
        headings.to_string() + &lines.collect::<String>()
    }

    #[test]
    fn a_source_goes_on_from_every_mark_it_gave() {
        for format in [Format::Jsonl, Format::Csv] {
            let text = many(format);
            let whole = all(&text, format, Mark::default(), false).0;
            assert_eq!(whole.len(), 1_000);
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), &text).unwrap();
            let open = |mark| FileSource::open(file.path(), format, (None, None), mark, false).unwrap();
            let mut source = open(Mark::default());
            while let Some(batch) = source.next().unwrap() {
                let rest = all(&text, format, batch.mark.clone(), false).0;
                assert_eq!(rest, whole[batch.mark.entries as usize..]);
            }
        }
    }

    #[test]
    fn a_bad_line_is_named_and_what_came_before_it_is_given() {
        let text = many(Format::Jsonl).replacen("\"key\":\"k500\"", "\"kye\":\"k500\"", 1);
        let (entries, mark, error) = all(&text, Format::Jsonl, Mark::default(), false);
        assert_eq!((entries.len(), mark.lines), (500, 500));
        let Some(SourceError::Bad(message)) = error else { panic!("{error:?}") };
        assert!(message.contains("line 501: unknown field `kye`"), "{message}");
        let (entries, _, error) = all(&text, Format::Jsonl, mark, false);
        assert!(entries.is_empty() && matches!(error, Some(SourceError::Bad(_))), "it is read again");
        let (entries, mark, error) = all(&text, Format::Jsonl, Mark::default(), true);
        assert_eq!((entries.len(), mark.skipped[BAD_LINES], error), (999, 1, None));
    }

    #[test]
    fn a_file_of_nothing_but_blanks_has_no_entries() {
        assert_eq!(all("\n  \n", Format::Jsonl, Mark::default(), false).0, []);
        assert_eq!(all("", Format::Jsonl, Mark::default(), false), (Vec::new(), Mark::default(), None));
        assert_eq!(all("key,value\n", Format::Csv, Mark::default(), false).0, []);
    }

    #[test]
    fn rows_that_are_too_short_or_no_hexadecimal_digits_are_bad() {
        for (text, why) in [
            ("key,value\na,b\nc\n", "there are 1 columns where the headings are 2"),
            ("key_hex,value_hex\n6,61\n", "odd number"),
            ("key,value\n,b\n", "a key has 1 to 1024 bytes"),
        ] {
            let (_, _, error) = all(text, Format::Csv, Mark::default(), false);
            let Some(SourceError::Bad(message)) = error else { panic!("{error:?}") };
            assert!(message.contains(why), "{message}");
        }
    }

    #[test]
    fn a_row_with_other_columns_is_bad_also_where_reading_goes_on_from_it() {
        let text = "key,value\na,1\nb\nc,3\nd,4,5\ne,6\n";
        let (entries, mark, _) = all(text, Format::Csv, Mark::default(), false);
        assert_eq!(entries.len(), 1);
        let (entries, _, error) = all(text, Format::Csv, mark.clone(), false);
        assert!(entries.is_empty() && matches!(error, Some(SourceError::Bad(_))), "it is read again");
        let (entries, mark, error) = all(text, Format::Csv, mark, true);
        let keys: Vec<&[u8]> = entries.iter().map(|entry| entry.key.as_bytes()).collect();
        assert_eq!((keys, mark.skipped[BAD_LINES], error), (vec![&b"c"[..], b"e"], 2, None));
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_line() {
        let text = "\u{feff}{\"key\":\"k\",\"value\":\"v\"}\n";
        assert_eq!(all(text, Format::Jsonl, Mark::default(), false).0.len(), 1);
    }

    #[test]
    fn columns_are_found_by_their_headings() {
        let headings = csv::StringRecord::from(vec!["id", "name", "key"]);
        let found = Columns::find(&headings, (Some("id"), Some("name")));
        assert_eq!(found, Ok(Columns { key: 0, value: 1, hex: false, count: 3 }));
        let error = Columns::find(&headings, (None, None)).unwrap_err();
        assert!(
            error.contains("no column 'value' among id, name, key: name one with --value-column"),
            "{error}"
        );
    }
}
