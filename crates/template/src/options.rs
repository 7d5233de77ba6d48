//! Which language a template is written in, and what it may take.

/// How a template is read and executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Which functions there are.
    pub language: Language,
    /// What becomes of `.key` where there is no such key.
    pub missing_key: MissingKey,
    /// What actions stand between: `{{` and `}}` if empty.
    pub delimiters: (String, String),
    /// What a template may take.
    pub limits: Limits,
}

/// Which functions a template can call beside those of Go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// No others.
    Go,
    /// As Sealed Secrets 0.38 has them in `template.data`: sprig 3.3.
    SealedSecrets,
    /// As External Secrets 2.9 has them: sprig 3.3 and its own.
    ExternalSecrets,
}

/// What `.key` is where there is no such key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingKey {
    /// Nothing, which is written as `<no value>`.
    NoValue,
    /// An error.
    Error,
}

/// What a template may take: with these, no template keeps the machine busy or fills its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the template.
    pub template: usize,
    /// Bytes of the output.
    pub output: usize,
    /// Steps: actions, arguments, calls, items, and each 256 bytes that are read.
    pub steps: u64,
    /// Bytes of all texts, lists and maps that are made on the way.
    pub memory: usize,
    /// Levels of actions in actions, parentheses, templates that call each other, and values in values.
    pub depth: usize,
}

impl Default for Limits {
    /// Far more than a Secret (1 MiB) needs.
    fn default() -> Self {
        Self { template: 1 << 20, output: 4 << 20, steps: 1_000_000, memory: 64 << 20, depth: 100 }
    }
}

impl Options {
    /// As Sealed Secrets executes `template.data`.
    pub fn sealed_secrets() -> Self {
        Self::of(Language::SealedSecrets, MissingKey::NoValue)
    }

    /// As External Secrets executes the templates of a target.
    pub fn external_secrets() -> Self {
        Self::of(Language::ExternalSecrets, MissingKey::Error)
    }

    /// As Go does without options.
    pub fn go() -> Self {
        Self::of(Language::Go, MissingKey::NoValue)
    }

    fn of(language: Language, missing_key: MissingKey) -> Self {
        Self { language, missing_key, delimiters: (String::new(), String::new()), limits: Limits::default() }
    }

    pub(crate) fn delimiters(&self) -> (&[u8], &[u8]) {
        let (left, right) = &self.delimiters;
        (if left.is_empty() { b"{{" } else { left.as_bytes() }, if right.is_empty() { b"}}" } else { right.as_bytes() })
    }
}
