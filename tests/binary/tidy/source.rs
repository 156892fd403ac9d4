//! The product's source: what each file imports, names, defines and quotes, without its tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree, Visibility};

/// All files that are compiled without tests.
pub(super) struct Source {
    pub(super) files: Vec<File>,
}

/// One file.
pub(super) struct File {
    /// `cluster/apply/lock.rs`.
    pub(super) path: String,
    /// `["cluster", "apply", "lock"]`.
    pub(super) module: Vec<String>,
    /// Each `use` and each qualified path.
    pub(super) paths: Vec<PathUse>,
    /// Types and traits that other files can name.
    pub(super) public_types: Vec<(usize, String)>,
    /// Everything but `mod` and `use`, by its line.
    pub(super) definitions: Vec<usize>,
    /// The names of macros that are called.
    pub(super) macros: Vec<(usize, String)>,
    /// String literals.
    pub(super) strings: Vec<(usize, String)>,
    /// Attributes, as `allow` of `#[allow(…)]`.
    pub(super) attributes: Vec<(usize, String)>,
    pub(super) lines: usize,
    /// Modules that are compiled for tests only.
    test_modules: Vec<String>,
}

/// A path as it is used; with `crate` first where it begins with `crate`, `self` or `super`.
pub(super) struct PathUse {
    pub(super) line: usize,
    pub(super) segments: Vec<String>,
    /// The name under which a `pub use` offers it.
    pub(super) exported_as: Option<String>,
}

impl File {
    /// `src/plan/build.rs:7`.
    pub(super) fn at(&self, line: usize) -> String {
        format!("src/{}:{line}", self.path)
    }

    /// The folder or file below `src`: `cluster`.
    pub(super) fn top_module(&self) -> &str {
        self.module.first().map_or("", String::as_str)
    }

    pub(super) fn is_mod_rs(&self) -> bool {
        self.path.ends_with("mod.rs")
    }

    fn parse(path: &str, text: &str) -> Self {
        let mut module: Vec<String> = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
            module.pop();
        }
        let parsed = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut file = Self {
            path: path.to_owned(),
            module,
            paths: Vec::new(),
            public_types: Vec::new(),
            definitions: Vec::new(),
            macros: Vec::new(),
            strings: Vec::new(),
            attributes: Vec::new(),
            lines: text.lines().count(),
            test_modules: Vec::new(),
        };
        file.visit_file(&parsed);
        file
    }

    /// Replaces `crate`, `self` and `super` by the path from the crate's root.
    fn absolute(&self, segments: &[String]) -> Vec<String> {
        let mut base = match segments.first().map(String::as_str) {
            Some("self") => self.module.clone(),
            Some("super") => self.module[..self.module.len().saturating_sub(1)].to_vec(),
            _ => return segments.to_vec(),
        };
        let mut rest = &segments[1..];
        while rest.first().is_some_and(|segment| segment == "super") {
            base.pop();
            rest = &rest[1..];
        }
        std::iter::once("crate".to_owned()).chain(base).chain(rest.iter().cloned()).collect()
    }

    fn add_path(&mut self, line: usize, segments: &[String], exported_as: Option<String>) {
        let segments = self.absolute(segments);
        self.paths.push(PathUse { line, segments, exported_as });
    }

    fn add_use(&mut self, tree: &UseTree, prefix: &[String], is_public: bool) {
        let line = tree.span().start().line;
        let with = |name: String| [prefix, &[name]].concat();
        match tree {
            UseTree::Path(path) => self.add_use(&path.tree, &with(path.ident.to_string()), is_public),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.add_use(tree, prefix, is_public);
                }
            }
            UseTree::Name(name) if name.ident == "self" => {
                self.add_path(line, prefix, prefix.last().cloned().filter(|_| is_public));
            }
            UseTree::Name(name) => {
                let name = name.ident.to_string();
                self.add_path(line, &with(name.clone()), Some(name).filter(|_| is_public));
            }
            UseTree::Rename(rename) => {
                let exported_as = Some(rename.rename.to_string()).filter(|_| is_public);
                self.add_path(line, &with(rename.ident.to_string()), exported_as);
            }
            UseTree::Glob(_) => self.add_path(line, prefix, None),
        }
    }

    /// Paths and texts in the arguments of a macro.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        let mut line = 0;
        for token in tokens {
            match &token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.end_path(line, &mut path);
                        line = ident.span().start().line;
                    }
                    path.push(ident.to_string());
                    colons = 0;
                    continue;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => {
                    colons += 1;
                    continue;
                }
                TokenTree::Group(group) => self.add_tokens(group.stream()),
                TokenTree::Literal(literal) => {
                    self.strings.push((literal.span().start().line, literal.to_string()));
                }
                TokenTree::Punct(_) => {}
            }
            colons = 0;
            self.end_path(line, &mut path);
        }
        self.end_path(line, &mut path);
    }

    fn end_path(&mut self, line: usize, path: &mut Vec<String>) {
        if path.len() > 1 {
            self.add_path(line, path, None);
        }
        path.clear();
    }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|argument| argument.is_ident("test"))
    })
}

fn attributes_of(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

impl<'ast> Visit<'ast> for File {
    fn visit_item(&mut self, item: &'ast Item) {
        let line = item.span().start().line;
        if is_for_tests(attributes_of(item)) {
            if let Item::Mod(module) = item {
                self.test_modules.push(module.ident.to_string());
            }
            return;
        }
        let named = match item {
            Item::Struct(item) => Some((&item.vis, &item.ident)),
            Item::Enum(item) => Some((&item.vis, &item.ident)),
            Item::Trait(item) => Some((&item.vis, &item.ident)),
            Item::Type(item) => Some((&item.vis, &item.ident)),
            _ => None,
        };
        if let Some((_, name)) = named.filter(|(visibility, _)| !matches!(visibility, Visibility::Inherited))
        {
            self.public_types.push((name.span().start().line, name.to_string()));
        }
        match item {
            Item::Use(item) => {
                let is_public = !matches!(item.vis, Visibility::Inherited);
                self.add_use(&item.tree, &[], is_public);
            }
            Item::Mod(item) if item.content.is_none() => {}
            _ => self.definitions.push(line),
        }
        visit::visit_item(self, item);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !is_for_tests(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            let segments: Vec<String> =
                path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.add_path(path.span().start().line, &segments, None);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        if let Some(name) = call.path.segments.last() {
            self.macros.push((call.span().start().line, name.ident.to_string()));
        }
        self.add_tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }

    fn visit_lit_str(&mut self, literal: &'ast syn::LitStr) {
        self.strings.push((literal.span().start().line, literal.token().to_string()));
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        // A doc comment is an attribute, too; it is not checked.
        if let Some(name) = attribute.path().get_ident().filter(|name| *name != "doc") {
            self.attributes.push((attribute.span().start().line, name.to_string()));
        }
    }
}

impl Source {
    /// The files of `src`, parsed once for all rules.
    pub(super) fn shared() -> &'static Self {
        static SOURCE: LazyLock<Source> = LazyLock::new(Source::read);
        &SOURCE
    }

    fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = Vec::new();
        collect(&root, &root, &mut files);
        let texts: Vec<(&str, &str)> =
            files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        Self::parse(&texts)
    }

    /// Files by path and text.
    pub(super) fn parse(texts: &[(&str, &str)]) -> Self {
        let mut files: Vec<File> = texts.iter().map(|(path, text)| File::parse(path, text)).collect();
        let for_tests: BTreeSet<Vec<String>> = files
            .iter()
            .flat_map(|file| {
                file.test_modules
                    .iter()
                    .map(|name| [file.module.as_slice(), std::slice::from_ref(name)].concat())
            })
            .collect();
        files
            .retain(|file| !(1..=file.module.len()).any(|length| for_tests.contains(&file.module[..length])));
        Self { files }
    }

    /// Which files each file imports, by their positions. A name that a `mod.rs` only passes on is the file's that
    /// defines it.
    pub(super) fn graph(&self) -> Vec<BTreeSet<usize>> {
        let exports: BTreeMap<Vec<String>, &[String]> = self
            .files
            .iter()
            .flat_map(|file| {
                file.paths.iter().filter_map(|path| {
                    let name = path.exported_as.clone()?;
                    Some(([file.module.as_slice(), &[name]].concat(), path.segments.as_slice()))
                })
            })
            .collect();
        let by_module: BTreeMap<&[String], usize> = self
            .files
            .iter()
            .enumerate()
            .filter(|(_, file)| !file.module.is_empty())
            .map(|(index, file)| (file.module.as_slice(), index))
            .collect();
        self.files
            .iter()
            .enumerate()
            .map(|(index, file)| {
                let is_import = |path: &&PathUse| !(file.is_mod_rs() && path.exported_as.is_some());
                let imports = file.paths.iter().filter(is_import);
                let defined = imports.filter_map(|path| self.defining_file(file, path, &exports, &by_module));
                defined.filter(|imported| *imported != index).collect()
            })
            .collect()
    }

    fn defining_file(
        &self,
        file: &File,
        path: &PathUse,
        exports: &BTreeMap<Vec<String>, &[String]>,
        by_module: &BTreeMap<&[String], usize>,
    ) -> Option<usize> {
        let mut segments = from_root(self, file, &path.segments)?;
        for _ in 0..8 {
            let exported =
                (1..=segments.len()).rev().find(|length| exports.contains_key(&segments[..*length]));
            let Some(length) = exported else { break };
            // `pub use child::Name;` in a mod.rs is relative to it.
            let owner = self.files.iter().find(|owner| owner.module == segments[..length - 1])?;
            let target = from_root(self, owner, exports[&segments[..length]])?;
            let rest = segments.split_off(length);
            segments = [target, rest].concat();
        }
        (1..=segments.len()).rev().find_map(|length| by_module.get(&segments[..length]).copied())
    }
}

/// The path below the crate's root; None if it is external.
fn from_root(source: &Source, file: &File, segments: &[String]) -> Option<Vec<String>> {
    let (first, rest) = segments.split_first()?;
    if first == "crate" {
        return Some(rest.to_vec());
    }
    let child = [file.module.as_slice(), std::slice::from_ref(first)].concat();
    let is_child = source.files.iter().any(|other| other.module == child);
    is_child.then(|| [file.module.as_slice(), segments].concat())
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, String)>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(root, &path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            files.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}
