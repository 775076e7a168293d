//! The limits of GraphQL documents.

use clap::Args;

use crate::limit::{at_least, defaults};

/// What a document may ask for. It is checked before the document runs.
#[derive(Args, Clone, Copy, Debug)]
pub struct PrepareLimits {
    /// Bytes of a document.
    #[arg(long, default_value_t = 64 * 1024)]
    pub document_bytes_max: usize,
    /// Tokens of a document: names, numbers, strings and punctuators.
    #[arg(long, default_value_t = 5_000)]
    pub document_tokens_max: usize,
    /// Brackets nested in each other in a document (at least 1, at most 200).
    // The parser recurses, so this cannot be without a limit.
    #[arg(long, default_value_t = 64, value_parser = at_least::<usize>(1))]
    pub document_nesting_max: usize,
    /// Fields of a document, with its fragments expanded.
    #[arg(long, default_value_t = 1_000)]
    pub document_fields_max: usize,
    /// Values that a document may ask for: its fields, each counted once for every entry that the
    /// lists around it may have.
    #[arg(long, default_value_t = 20_000)]
    pub document_values_max: usize,
    /// Levels of nested selections in a document, with its fragments expanded.
    #[arg(long, default_value_t = 24)]
    pub document_depth_max: usize,
    /// Aliases in a document, with its fragments expanded.
    #[arg(long, default_value_t = 100)]
    pub document_aliases_max: usize,
    /// Directives in a document, with its fragments expanded.
    #[arg(long, default_value_t = 100)]
    pub document_directives_max: usize,
    /// Bytes of memory for parsed documents that are kept for later requests; 0 keeps none.
    #[arg(long, default_value_t = 16 * 1024 * 1024)]
    pub documents_cached_bytes_max: u64,
}

impl Default for PrepareLimits {
    fn default() -> Self {
        defaults()
    }
}
