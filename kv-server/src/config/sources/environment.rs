//! Settings in environment variables: `KV_` and the name of the setting.

use std::ffi::OsString;

use super::Gathered;
use crate::config::members;
use crate::config::settings::{MEMBERS, SETTINGS, variable};
use crate::text::nearest;

/// Names the file.
pub(super) const CONFIG_FILE: &str = "KV_CONFIG";

/// The client's variable, and what Kubernetes gives every pod beside a service called `kv` or `kv-server`.
const FOREIGN: [&str; 3] = ["KV_SERVER", "KV_SERVICE_", "KV_PORT"];

pub(super) fn gather(variables: &[(OsString, OsString)], gathered: &mut Gathered) {
    for (name, value) in variables {
        let Some(name) = name.to_str().filter(|name| name.starts_with("KV_")) else { continue };
        if name == CONFIG_FILE || FOREIGN.iter().any(|foreign| name.starts_with(foreign)) {
            continue;
        }
        let place = format!("environment {name}");
        let Some(value) = value.to_str() else {
            gathered.problems.add(place, "the value is not UTF-8");
            continue;
        };
        if name == variable(MEMBERS) {
            gathered.set_members(members::read_list(value), place);
            continue;
        }
        match SETTINGS.iter().find(|setting| variable(setting.key) == name) {
            Some(setting) => {
                gathered.set(setting.key, value, place);
            }
            None => {
                let known: Vec<String> =
                    SETTINGS.iter().map(|setting| setting.key).chain([MEMBERS]).map(variable).collect();
                let nearest = nearest(name, known.iter().map(String::as_str)).map(String::from);
                gathered.unknown("variable", name, nearest, place);
            }
        }
    }
}
