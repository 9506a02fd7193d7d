//! `--print-config`: a file that would give the same configuration.

use std::fmt;

use super::Loaded;
use super::forms::text;
use super::settings::{MEMBERS, SETTINGS, variable};

impl fmt::Display for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "# The configuration of kv-server. Each setting says where its value comes from; all can also be"
        )?;
        writeln!(
            f,
            "# set in the environment ({}, {}) or with --set.",
            variable("listen"),
            variable("log.format")
        )?;
        let mut section = None;
        for setting in SETTINGS {
            let (in_section, name) = match setting.key.split_once('.') {
                Some((section, name)) => (Some(section), name),
                None => (None, setting.key),
            };
            if in_section != section {
                section = in_section;
                writeln!(f, "\n[{}]", in_section.unwrap_or_default())?;
            } else if in_section.is_none() {
                writeln!(f)?;
            }
            writeln!(f, "# {} ({})", setting.help, self.place(setting.key).unwrap_or("default"))?;
            match (setting.get)(&self.config) {
                Some(value) => writeln!(f, "{name} = {value}")?,
                None => writeln!(f, "# {name} =")?,
            }
        }
        self.members(f)
    }
}

impl Loaded {
    fn members(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = self.place(MEMBERS).unwrap_or("default: this node alone");
        writeln!(f, "\n# the members of the cluster, from which kv cluster init makes it ({from})")?;
        if self.config.members.is_empty() {
            writeln!(f, "# [[members]]\n# id = 1\n# address = \"127.0.0.1:7380\"")?;
        }
        for member in &self.config.members {
            let shown = |value: &str| text::show(value).unwrap_or_default();
            writeln!(f, "[[members]]\nid = {}\naddress = {}", member.id, shown(&member.address))?;
            writeln!(f, "zone = {}\ndata_center = {}", shown(&member.zone), shown(&member.data_center))?;
            writeln!(f, "capacity = {}\n", member.capacity)?;
        }
        Ok(())
    }
}
