//! The limits of GraphQL documents.

/// What a document may ask for. It is checked before the document runs. 0 is no limit, except where
/// a field says otherwise.
#[derive(Clone, Copy, Debug)]
pub struct PrepareLimits {
    /// Bytes of a document.
    pub document_bytes_max: usize,
    /// Tokens of a document: names, numbers, strings and punctuators.
    pub document_tokens_max: usize,
    /// Brackets nested in each other in a document. The parser recurses, so this cannot be
    /// unlimited.
    pub document_nesting_max: usize,
    /// Fields of a document, with its fragments expanded.
    pub document_fields_max: usize,
    /// Values that a document may ask for: its fields, each counted once for every entry that the
    /// lists around it may have.
    pub document_values_max: usize,
    /// Levels of nested selections in a document, with its fragments expanded.
    pub document_depth_max: usize,
    /// Aliases in a document, with its fragments expanded.
    pub document_aliases_max: usize,
    /// Directives in a document, with its fragments expanded.
    pub document_directives_max: usize,
    /// Bytes of memory for parsed documents that are kept for later requests; 0 keeps none.
    pub documents_cached_bytes_max: u64,
    /// Whether clients may ask for the schema.
    pub introspection: bool,
}

impl Default for PrepareLimits {
    fn default() -> Self {
        Self {
            document_bytes_max: 64 * 1024,
            document_tokens_max: 5_000,
            document_nesting_max: 64,
            document_fields_max: 1_000,
            document_values_max: 20_000,
            document_depth_max: 24,
            document_aliases_max: 100,
            document_directives_max: 100,
            documents_cached_bytes_max: 16 * 1024 * 1024,
            introspection: true,
        }
    }
}
