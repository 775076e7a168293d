//! The steps that prepare a request, and the cache of parsed documents.

use std::sync::Arc;

use async_graphql::parser::types::{ExecutableDocument, OperationType};
use moka::sync::Cache;

use super::{
    bounds::{self, too_complex},
    directives,
    introspection::{self, Introspection},
    limits::PrepareLimits,
    literals,
    operation::operation,
    plan::PARSED_BYTES_PER_BYTE,
    request::{CachedDocument, Prepared, Request},
    root, scan,
    shapes::Shapes,
    specialise, variables,
};
use crate::schema::{
    error::{ApiError, Code},
    syntax::parse_document,
};

/// The key of a cached document: the name of the operation, and the text of the document.
type DocumentKey = (Option<String>, String);

/// Prepares requests. It needs only the definition of the schema, so it can be tested alone.
pub struct Prepare {
    pub(in crate::schema) shapes: Arc<Shapes>,
    limits: PrepareLimits,
    introspection: Introspection,
    documents: Cache<DocumentKey, Arc<CachedDocument>>,
}

impl Prepare {
    /// Prepares requests for the schema that `sdl` defines. Panics if `sdl` does not parse.
    pub fn new(sdl: &str, limits: PrepareLimits, introspection: Introspection) -> Self {
        let weigh = |(_, text): &DocumentKey, _: &Arc<CachedDocument>| {
            u32::try_from(text.len() * PARSED_BYTES_PER_BYTE).unwrap_or(u32::MAX)
        };
        let documents = Cache::builder()
            .max_capacity(limits.documents_cached_bytes_max)
            .weigher(weigh)
            .build();
        Self {
            shapes: Arc::new(Shapes::from_sdl(sdl)),
            limits,
            introspection,
            documents,
        }
    }

    /// Prepares one request.
    ///
    /// # Errors
    /// TOO_COMPLEX if it exceeds a limit, GRAPHQL_PARSE_FAILED or GRAPHQL_VALIDATION_FAILED if its
    /// document is refused, BAD_USER_INPUT for each invalid variable.
    pub fn prepare(&self, request: Request) -> Result<Prepared, Vec<ApiError>> {
        let key = (request.operation_name.clone(), request.query);
        let cached = match self.documents.get(&key) {
            Some(cached) => cached,
            None => self.parse_and_cache(key)?,
        };
        let name = request.operation_name.as_deref();
        let definition = &operation(&cached.document, name)?.node;
        let variables = variables::coerce(definition, &request.variables, &self.shapes)?;
        bounds::check(&cached.document, &variables, &self.shapes, &self.limits)?;
        let has_absent_variable = definition
            .variable_definitions
            .iter()
            .any(|v| !variables.contains_key(&v.node.name.node));
        let specialised = match has_absent_variable || cached.has_directive_variables {
            true => specialise::specialise(&cached.document, name, &variables),
            false => None,
        };
        let kind = cached.kind;
        let (document, cached) = match specialised {
            Some(document) => (Arc::new(document), None),
            None => (cached.document.clone(), Some(cached)),
        };
        Ok(Prepared {
            document,
            operation_name: request.operation_name,
            variables,
            kind,
            shapes: self.shapes.clone(),
            cached,
        })
    }

    /// Parses and checks a document, chooses the operation, and folds the root of a subscription.
    fn parse_and_cache(&self, key: DocumentKey) -> Result<Arc<CachedDocument>, ApiError> {
        let mut document = self.parse(&key.1)?;
        directives::check(&document)?;
        if self.introspection == Introspection::Refused {
            introspection::refuse(&document)?;
        }
        let name = key.0.as_deref();
        let chosen = operation(&document, name)?;
        let kind = chosen.node.ty;
        if kind == OperationType::Subscription {
            let field = root::single_field(&chosen.node, &document.fragments)?;
            root::write_back(&mut document, name, field);
        }
        let has_directive_variables = specialise::has_directive_variables(&document);
        let cached = Arc::new(CachedDocument::new(document, kind, has_directive_variables));
        self.documents.insert(key, cached.clone());
        Ok(cached)
    }

    /// Bounds the text and parses it.
    fn parse(&self, text: &str) -> Result<ExecutableDocument, ApiError> {
        let limits = &self.limits;
        if limits.document_bytes_max != 0 && text.len() > limits.document_bytes_max {
            return Err(too_complex("bytes", limits.document_bytes_max));
        }
        let extent = scan::scan(text);
        if limits.document_tokens_max != 0 && extent.tokens > limits.document_tokens_max {
            return Err(too_complex("tokens", limits.document_tokens_max));
        }
        if extent.nesting > limits.document_nesting_max {
            return Err(too_complex(
                "levels of nesting",
                limits.document_nesting_max,
            ));
        }
        let mut document = parse_document(text).map_err(|error| {
            let refusal = ApiError::new(Code::GraphqlParseFailed, error.to_string());
            match error.position {
                Some(position) => refusal.at(position),
                None => refusal,
            }
        })?;
        literals::convert_long_integers(&mut document, text, &self.shapes);
        Ok(document)
    }
}
