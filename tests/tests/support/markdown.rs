//! As much of Markdown as the documents use.

/// The lines outside code blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with(concat!("``", "`"));
        in_code ^= fence;
        !fence && !in_code
    })
}

/// The targets of links that are neither web addresses nor mail.
pub(crate) fn links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    for line in prose(text) {
        for rest in line.split("](").skip(1) {
            let target = rest.split(')').next().unwrap_or_default();
            if !target.contains("://") && !target.starts_with("mailto:") && !target.is_empty() {
                links.push(target.to_string());
            }
        }
    }
    links
}

/// The names under which headings can be linked to.
pub(crate) fn anchors(text: &str) -> Vec<String> {
    let headings = prose(text).filter(|line| line.starts_with('#'));
    let anchor = |line: &str| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

/// The rows of the first table whose first heading is `first`; cells without backquotes.
pub(crate) fn table(text: &str, first: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| -> Vec<String> {
        let line = line.trim().trim_matches('|');
        line.split('|').map(|cell| cell.trim().replace('`', "")).collect()
    };
    let mut lines = prose(text).skip_while(|line| !line.starts_with('|') || cells(line)[0] != first);
    lines.next();
    lines.next();
    lines.take_while(|line| line.starts_with('|')).map(cells).collect()
}

#[test]
fn links_anchors_and_tables_are_found() {
    let text =
        "# A `b` title\n\n[x](y.md#z) and [w](https://w)\n\n| a | b |\n|---|---|\n| `1` | 2 |\n\nend\n";
    assert_eq!(links(text), ["y.md#z"]);
    assert_eq!(anchors(text), ["a-b-title"]);
    assert_eq!(table(text, "a"), [["1", "2"]]);
    assert!(table(text, "b").is_empty());
}
