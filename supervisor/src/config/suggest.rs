//! "Did you mean": the name that was most likely meant.

use super::keys::{self, KEYS};

/// The candidate that differs in the fewest letters. There may be one or two such letters, and at
/// most a third of all letters. Upper and lower case are the same.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let most = (name.chars().count() / 3).clamp(1, 2);
    let distance = |candidate: &&str| strsim::damerau_levenshtein(&name, &candidate.to_lowercase());
    let nearest = candidates.into_iter().min_by_key(distance)?;
    (distance(&nearest) <= most).then_some(nearest)
}

/// The path of the key that was meant by a path without a key. It is a key of the same table, or a
/// key with exactly this name in another table.
pub fn key(path: &[String], table: &[String]) -> Option<Vec<String>> {
    let name = path.get(table.len())?;
    let siblings = keys::names_in(table);
    let siblings = siblings.into_iter().filter(|sibling| *sibling != "*");
    if let Some(sibling) = nearest(name, siblings) {
        return Some([table, &[sibling.to_owned()]].concat());
    }
    let name = path.last()?;
    let last = |key: &&keys::Key| key.name.rsplit('.').next() == Some(name);
    let key = KEYS.iter().find(last)?;
    Some(key.name.split('.').map(str::to_owned).collect())
}
