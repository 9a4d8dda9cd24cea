//! What a mistyped name may have meant.

/// The known name closest to a mistyped one.
pub(in crate::config) fn nearest<'a>(
    name: &str,
    known: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    // A long unknown name is not a typing error; comparing it would only cost time.
    if name.len() > NAME_LIMIT {
        return None;
    }
    let length = name.chars().count();
    let most = (length / 3).min(3);
    let near = |known: &'a str| (strsim::osa_distance(name, known), known);
    // The edit distance is at least the difference in length, and computing it is slow.
    let alike = known.filter(|known| known.len().abs_diff(length) <= most);
    let (distance, known) = alike.map(near).min_by_key(|(distance, _)| *distance)?;
    (distance <= most).then_some(known)
}

/// Longer names are not compared with known ones.
const NAME_LIMIT: usize = 64;
