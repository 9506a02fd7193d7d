//! Which paths a source file names.

/// A path from the root of its crate, as module and item names.
pub(crate) type Path = Vec<String>;

/// The text without comments, and without a test module at its end.
fn code(text: &str) -> String {
    let end = ["#[cfg(test)]\nmod tests {", "#[cfg(test)]\npub mod tests {"]
        .iter()
        .find_map(|mark| text.find(mark));
    let text = text.get(..end.unwrap_or(text.len())).unwrap();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The paths that begin with `crate::`, `super::` or `self::` in the source of `module`.
pub(crate) fn of_source(text: &str, module: &[String]) -> Vec<Path> {
    let code = code(text);
    let mut paths = Vec::new();
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back();
            // In the middle of a path or a name it is none of ours; `$crate` belongs to macros.
            if before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | ':' | '$')) {
                continue;
            }
            tree(&code[at..], &[], &mut |path| paths.extend(absolute(path, module)));
        }
    }
    paths
}

/// The modules that a file declares for tests only.
pub(crate) fn test_modules(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for rest in text.split("#[cfg(test)]\n").skip(1) {
        let line = rest.lines().next().unwrap_or_default().trim_start_matches("pub ");
        if let Some(name) = line.strip_prefix("mod ").and_then(|name| name.strip_suffix(';')) {
            names.push(name.to_string());
        }
    }
    names
}

fn absolute(path: Path, module: &[String]) -> Option<Path> {
    let mut base: Vec<String> = match path.first()?.as_str() {
        "crate" => Vec::new(),
        _ => module.to_vec(),
    };
    for name in path {
        match name.as_str() {
            "crate" | "self" => {}
            "super" => drop(base.pop()),
            _ => base.push(name),
        }
    }
    Some(base)
}

/// Reads one path with its braces and calls back for each path in it; returns the rest of the text.
fn tree<'a>(text: &'a str, prefix: &[String], found: &mut dyn FnMut(Path)) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = tree(rest, prefix, found).trim_start();
            rest = match rest.strip_prefix(',') {
                Some(more) if more.trim_start().starts_with('}') => return &more.trim_start()[1..],
                Some(more) => more,
                None => return rest.strip_prefix('}').unwrap_or(rest),
            };
        }
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let mut path = prefix.to_vec();
    if !name.is_empty() {
        path.push(name.to_string());
    }
    match rest.strip_prefix("::") {
        Some(more) if !name.is_empty() => tree(more, &path, found),
        _ => {
            found(path);
            let renamed = rest.trim_start().strip_prefix("as ").map(|more| {
                let more = more.trim_start();
                &more[more.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(more.len())..]
            });
            renamed.unwrap_or(rest)
        }
    }
}

#[test]
fn paths_are_read_with_their_braces() {
    let text =
        "use crate::a::{B, c::{D, E as F}, g};\nuse super::h; // crate::no\nlet x = crate::i::J::new();\n";
    let module = ["m".to_string(), "n".to_string()];
    let paths: Vec<String> = of_source(text, &module).iter().map(|path| path.join("::")).collect();
    assert_eq!(paths, ["a::B", "a::c::D", "a::c::E", "a::g", "i::J::new", "m::h"]);
}
