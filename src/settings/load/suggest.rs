//! "Did you mean": the closest known key to a misspelt one.

/// Returns the closest candidate, if it is close enough to be meant.
pub(crate) fn closest<'a>(written: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let normalize = |word: &str| word.to_ascii_lowercase().replace('-', "_");
    let normalized = normalize(written);
    let limit = (normalized.chars().count() / 3).clamp(1, 4);
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(&normalized, &normalize(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= limit && *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::closest;

    #[test]
    fn closest_ignores_case_and_distant_words() {
        let keys = ["pvc_storage_size", "pvc_storage_class", "privileged"];
        assert_eq!(closest("pvc_storage_sise", keys.into_iter()), Some("pvc_storage_size"));
        assert_eq!(closest("PVC-Storage-Class", keys.into_iter()), Some("pvc_storage_class"));
        assert_eq!(closest("colour", keys.into_iter()), None);
    }
}
