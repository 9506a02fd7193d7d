/// The candidate that `name` was most likely meant to be, if one is near enough.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let last = |name: &'a str| name.rsplit('.').next().unwrap_or(name);
    candidates
        .into_iter()
        .map(|candidate| {
            // A right name in the wrong section is as near as a slip of one letter.
            let misplaced = name.rsplit('.').next() == Some(last(candidate));
            (if misplaced { 1 } else { distance(name, candidate) }, candidate)
        })
        .min()
        .filter(|(distance, candidate)| *distance <= candidate.len().max(name.len()).div_ceil(3))
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and exchanges of neighbours that make one text of the other (optimal string alignment,
/// after Damerau 1964).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.to_lowercase().chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    let mut previous = None;
    for (index, letter) in one.to_lowercase().chars().enumerate() {
        let mut row = Vec::with_capacity(last.len());
        row.push(index + 1);
        for (place, theirs) in other.iter().enumerate() {
            let at = |row: &[usize], place: usize| row.get(place).copied().unwrap_or(usize::MAX - 1);
            let replaced = at(&last, place) + usize::from(letter != *theirs);
            let mut least = replaced.min(at(&last, place + 1) + 1).min(at(&row, place) + 1);
            let neighbour = place.checked_sub(1).and_then(|place| other.get(place));
            if previous == Some(*theirs) && neighbour == Some(&letter) {
                least = least.min(at(&before_last, place - 1) + 1);
            }
            row.push(least);
        }
        before_last = std::mem::replace(&mut last, row);
        previous = Some(letter);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_that_people_make() {
        let pairs = [
            ("", "", 0),
            ("a", "", 1),
            ("listen", "lisen", 1),
            ("listen", "litsen", 1),
            ("kitten", "sitting", 3),
        ];
        for (one, other, expected) in pairs {
            assert_eq!(distance(one, other), expected, "{one} {other}");
            assert_eq!(distance(other, one), expected, "{other} {one}");
        }
    }

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        let names = ["listen", "admin", "limits.value_bytes_max", "cluster.replicas"];
        assert_eq!(nearest("lisen", names), Some("listen"));
        assert_eq!(nearest("limits.value_bytes", names), Some("limits.value_bytes_max"));
        assert_eq!(nearest("replicas", names), Some("cluster.replicas"));
        assert_eq!(nearest("colour", names), None);
    }
}
