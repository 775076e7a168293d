//! The limits of GraphQL documents.

use clap::Args;

use crate::limit::{at_least, defaults};

/// Limits of a document, which are checked before it runs.
#[derive(Args, Clone, Copy, Debug)]
pub struct PrepareLimits {
    /// Maximum bytes of a document.
    #[arg(long, default_value_t = 64 * 1024)]
    pub document_bytes_max: usize,
    /// Maximum tokens of a document: names, numbers, strings and punctuation.
    #[arg(long, default_value_t = 5_000)]
    pub document_tokens_max: usize,
    /// Maximum nesting of brackets in a document (at least 1, at most 200).
    // The parser recurses, so this cannot be without a limit.
    #[arg(long, default_value_t = 64, value_parser = at_least::<usize>(1))]
    pub document_nesting_max: usize,
    /// Maximum fields of a document, after fragments are expanded.
    #[arg(long, default_value_t = 1_000)]
    pub document_fields_max: usize,
    /// Maximum values that a document may ask for: each field counts once per possible entry of the
    /// lists around it.
    #[arg(long, default_value_t = 20_000)]
    pub document_values_max: usize,
    /// Maximum depth of nested selections in a document, after fragments are expanded.
    #[arg(long, default_value_t = 24)]
    pub document_depth_max: usize,
    /// Maximum aliases in a document, after fragments are expanded.
    #[arg(long, default_value_t = 100)]
    pub document_aliases_max: usize,
    /// Maximum directives in a document, after fragments are expanded.
    #[arg(long, default_value_t = 100)]
    pub document_directives_max: usize,
    /// Memory for the cache of parsed documents, in bytes; 0 turns the cache off.
    #[arg(long, default_value_t = 16 * 1024 * 1024)]
    pub documents_cached_bytes_max: u64,
}

impl Default for PrepareLimits {
    fn default() -> Self {
        defaults()
    }
}
