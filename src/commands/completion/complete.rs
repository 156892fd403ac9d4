//! A request of a completion script → its answer, with clap's engine.

use std::ffi::OsString;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use clap::{Arg, Command};
use clap_complete::engine::{self, ArgValueCompleter, CompletionCandidate};

use super::answer::{Candidate, Completion, Reader};
use super::keys;
use super::line::{self, Line};
use super::lookup::NameLookup;
use super::source::{ValueSource, source_of};
use crate::report::Streams;
use crate::settings::KeyReference;

/// Answers `__complete SHELL WORD…`, of which `words` are those behind `__complete`; `root` defines the command line, and
/// `started` is the start of the process. Prints nothing for a request that no script makes.
pub(crate) fn complete(root: Command, words: &[OsString], started: Instant, streams: &Streams) {
    let words: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let Some((reader, words)) = words.split_first() else { return };
    let Some(reader) = Reader::named(reader) else { return };
    let words: Vec<String> = match reader {
        Reader::Bash => words.iter().map(|word| line::unquoted(word)).collect(),
        Reader::Zsh | Reader::Fish | Reader::Kubectl => words.to_vec(),
    };
    let answer = match Line::new(&root, &words) {
        Some(line) => answer(root, line, started, streams),
        None => Completion::Values(Vec::new()),
    };
    // A script that has ended needs no answer.
    let _written = streams.out(&answer.text(reader));
}

fn answer(root: Command, line: Line, started: Instant, streams: &Streams) -> Completion {
    let words: Vec<OsString> =
        ["handsctl"].into_iter().chain(line.words.iter().map(String::as_str)).map(OsString::from).collect();
    let current = line.current().to_owned();
    let completers = Completers {
        lookup: NameLookup { global: line.global, started, streams: streams.clone() },
        used: Arc::default(),
    };
    let mut root = completers.added(root, "");
    let index = words.len().saturating_sub(1);
    let found = engine::complete(&mut root, words, index, None).unwrap_or_default();
    let mut candidates: Vec<Candidate> = found.iter().map(candidate).collect();
    let used = completers.used.get().copied();
    let is_option = |candidate: &Candidate| candidate.value.starts_with('-');
    // People type a dash for an option. Without one, options are listed only where nothing else can stand.
    if !current.starts_with('-') && (used.is_some() || !candidates.iter().all(is_option)) {
        candidates.retain(|candidate| !is_option(candidate));
    }
    match used {
        Some(ValueSource::Files) if candidates.is_empty() => Completion::Files,
        _ => Completion::Values(candidates),
    }
}

fn candidate(found: &CompletionCandidate) -> Candidate {
    let meaning = found.get_help().map(ToString::to_string).unwrap_or_default();
    Candidate::new(found.get_value().to_string_lossy(), meaning)
}

/// What completes the values of arguments.
#[derive(Clone)]
struct Completers {
    lookup: NameLookup,
    /// The source of the word's values, once the engine has used it.
    used: Arc<OnceLock<ValueSource>>,
}

impl Completers {
    /// Adds a completer to each argument that has a source, of this command and those below it; `path` is the command in
    /// words.
    fn added(&self, command: Command, path: &str) -> Command {
        let command = command.mut_args(|argument| match source_of(path, &argument) {
            Some(source) => self.added_to(argument, source),
            None => argument,
        });
        command.mut_subcommands(|child| {
            let path = format!("{path} {}", child.get_name()).trim_start().to_owned();
            self.added(child, &path)
        })
    }

    fn added_to(&self, argument: Arg, source: ValueSource) -> Arg {
        let completers = self.clone();
        let complete = move |typed: &std::ffi::OsStr| {
            let candidates = completers.candidates(source, &typed.to_string_lossy());
            candidates.into_iter().map(engine_candidate).collect::<Vec<_>>()
        };
        argument.add(ArgValueCompleter::new(complete))
    }

    fn candidates(&self, source: ValueSource, typed: &str) -> Vec<Candidate> {
        // A word is the value of one argument.
        let _first = self.used.set(source);
        let mut candidates = match source {
            ValueSource::Contexts => self.lookup.contexts(),
            ValueSource::Namespaces => self.lookup.namespaces(),
            ValueSource::Installations => self.lookup.installations(),
            ValueSource::Revisions => self.lookup.revisions(),
            ValueSource::VolumeSnapshots => self.lookup.volume_snapshots(),
            ValueSource::Containers => self.lookup.containers(),
            ValueSource::LogTargets => self.lookup.log_targets(),
            ValueSource::Conversations => self.lookup.conversations(),
            ValueSource::LocalClusters => NameLookup::local_clusters(),
            ValueSource::Assignments => keys::assignments(&KeyReference::default(), typed),
            ValueSource::Keys => keys::keys(&KeyReference::default(), typed, ""),
            ValueSource::Subjects => keys::subjects(typed),
            ValueSource::ExitCodes => keys::exit_codes(typed),
            // The shell completes them.
            ValueSource::Files => Vec::new(),
        };
        candidates.retain(|candidate| candidate.value.starts_with(typed));
        candidates
    }
}

fn engine_candidate(candidate: Candidate) -> CompletionCandidate {
    CompletionCandidate::new(candidate.value).help(Some(candidate.meaning.into()))
}
