//! The scripts that call `handsctl __complete SHELL WORD…` for each Tab. The last word is the one to complete. Pure.
//!
//! The first line of the answer is `values`, `parts` (values that more characters follow, so no space is added) or `files`
//! (the shell completes the name of a file). The other lines are the values. kubectl reads the answers of Cobra instead.

/// For bash.
pub(super) const BASH: &str = include_str!("script/handsctl.bash");
/// For zsh.
pub(super) const ZSH: &str = include_str!("script/handsctl.zsh");
/// For fish.
pub(super) const FISH: &str = include_str!("script/handsctl.fish");
/// `kubectl_complete-hands`, which `kubectl hands` calls
/// (<https://kubernetes.io/docs/tasks/extend-kubectl/kubectl-plugins/>).
pub(super) const KUBECTL: &str = include_str!("script/kubectl_complete-hands.sh");
