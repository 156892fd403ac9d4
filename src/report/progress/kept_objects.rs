//! Which of many kept objects are listed: a namespace may have hundreds of sandboxes. Pure.

use std::collections::BTreeMap;

use crate::event::Action;
use crate::object::ObjectId;

/// So many objects of a kind with the same reason are listed.
const LISTED: usize = 5;

/// The objects that were kept until now, counted by kind and reason.
#[derive(Debug, Default)]
pub(super) struct KeptObjects(BTreeMap<(String, String), usize>);

/// How an object is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Listing {
    /// In its own line.
    Listed,
    /// In this line, which stands for it and for all further ones.
    More(String),
    /// In an earlier line.
    Included,
}

impl KeptObjects {
    /// Counts an object that was processed. Only kept ones are ever left out.
    pub(super) fn listing(&mut self, object: &ObjectId, action: Action, why: Option<&str>) -> Listing {
        if action != Action::Kept {
            return Listing::Listed;
        }
        let key = (object.kind.clone(), why.unwrap_or_default().to_owned());
        let count = self.0.entry(key).or_default();
        *count += 1;
        match *count {
            ..=LISTED => Listing::Listed,
            count if count == LISTED + 1 => {
                Listing::More(format!("more objects of kind {} are kept; -v lists them", object.kind))
            }
            _ => Listing::Included,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_kept_objects_of_a_kind_end_with_one_line() {
        let mut kept = KeptObjects::default();
        let mut listing = |kind: &str, index: usize, action| {
            let object = ObjectId::namespaced("", kind, "boxes", format!("o{index}"));
            kept.listing(&object, action, Some("a conversation"))
        };
        let listings: Vec<Listing> = (0..200).map(|index| listing("Pod", index, Action::Kept)).collect();
        assert!(listings[..LISTED].iter().all(|listing| *listing == Listing::Listed));
        assert_eq!(
            listings[LISTED],
            Listing::More("more objects of kind Pod are kept; -v lists them".to_owned())
        );
        assert!(listings[LISTED + 1..].iter().all(|listing| *listing == Listing::Included));
        assert_eq!(listing("Service", 0, Action::Kept), Listing::Listed, "another kind");
        assert_eq!(listing("Pod", 200, Action::Deleted), Listing::Listed);
    }
}
