//! What stands between every transport and the executor.
//!
//! The library checks some of this too late, some not at all, and some at a cost that grows exponentially with the
//! document. So a request is bounded by its text, parsed (cached by text), its variables coerced, its cost counted by one
//! linear walk, and a subscription's root folded into one field. What is handed on is what the executor gets.

mod bounds;
mod directives;
mod introspection;
mod limits;
mod plan;
mod root;
mod scan;
mod shapes;
mod specialise;
mod variables;

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use async_graphql::{
    Positioned, Variables,
    parser::{
        parse_query,
        types::{DocumentOperations, ExecutableDocument, OperationDefinition, OperationType},
    },
};
use moka::sync::Cache;

pub use introspection::Introspection;
pub use limits::PrepareLimits;
pub use plan::PlanDocument;
pub(super) use shapes::Shapes;

use super::error::{ApiError, Code};

/// How long a list may be that does not say so: the default page of a connection.
const LIST_LENGTH_DEFAULT: usize = 50;

/// About how much memory a parsed document takes, per byte of its text.
const PARSED_BYTES_PER_BYTE: usize = 24;

/// A request as a client sends it.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The document's text.
    pub query: String,
    /// Which of its operations to run.
    pub operation_name: Option<String>,
    /// Values for its variables.
    pub variables: Variables,
}

/// A request that may be executed: bounded, parsed, coerced.
#[derive(Clone, Debug)]
pub struct Prepared {
    document: Arc<ExecutableDocument>,
    operation_name: Option<String>,
    variables: Variables,
    kind: OperationType,
    shapes: Arc<Shapes>,
    /// What is known of the document, unless it was made ready for these variables alone.
    known: Option<Arc<CachedDocument>>,
}

impl Prepared {
    /// Whether this is a query, a mutation or a subscription.
    pub fn kind(&self) -> OperationType {
        self.kind
    }

    /// Whether this is a subscription.
    pub fn is_subscription(&self) -> bool {
        self.kind == OperationType::Subscription
    }

    /// The plan of this subscription.
    pub fn plan(&self) -> Arc<PlanDocument> {
        let made = || Arc::new(PlanDocument::new(self));
        match &self.known {
            // Without variables below the root it is the same for everybody who sends this text.
            Some(known) => match known.plan.get() {
                Some(plan) => plan.clone(),
                None => {
                    let plan = made();
                    if plan.variables.is_empty() {
                        known.plan.get_or_init(|| plan).clone()
                    } else {
                        plan
                    }
                }
            },
            None => made(),
        }
    }

    fn operation(&self) -> &OperationDefinition {
        let chosen = operation(&self.document, self.operation_name.as_deref());
        &chosen.expect("prepare has chosen it").node
    }

    pub(super) fn document(&self) -> Arc<ExecutableDocument> {
        self.document.clone()
    }

    pub(super) fn known(&self) -> Option<Arc<CachedDocument>> {
        self.known.clone()
    }

    pub(super) fn into_parts(self) -> (Arc<ExecutableDocument>, Option<String>, Variables) {
        (self.document, self.operation_name, self.variables)
    }
}

/// An operation of a document as it was first seen, and what was found out about it since.
#[derive(Debug)]
pub(super) struct CachedDocument {
    document: Arc<ExecutableDocument>,
    kind: OperationType,
    /// Some directive's argument is a variable.
    has_directive_variables: bool,
    /// It passed validation once. Its variables are coerced by their definitions every time, so it always will.
    valid: AtomicBool,
    plan: OnceLock<Arc<PlanDocument>>,
}

impl CachedDocument {
    pub(super) fn is_valid(&self) -> bool {
        self.valid.load(Ordering::Acquire)
    }

    pub(super) fn set_valid(&self) {
        self.valid.store(true, Ordering::Release);
    }
}

/// The name of an operation, and the text of its document.
type Text = (Option<String>, String);

/// Prepares requests. It needs the schema's definition and nothing else, so that it can be tried alone.
pub struct Prepare {
    pub(super) shapes: Arc<Shapes>,
    limits: PrepareLimits,
    introspection: Introspection,
    documents: Cache<Text, Arc<CachedDocument>>,
}

impl Prepare {
    /// For the schema of this definition, which must parse.
    pub fn new(sdl: &str, limits: PrepareLimits, introspection: Introspection) -> Self {
        let weigh = |(_, text): &Text, _: &Arc<CachedDocument>| {
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

    /// Makes a request fit to be executed, or says what is wrong with it.
    pub fn prepare(&self, request: Request) -> Result<Prepared, Vec<ApiError>> {
        let text = (request.operation_name.clone(), request.query);
        let known = match self.documents.get(&text) {
            Some(known) => known,
            None => self.learn(text)?,
        };
        let name = request.operation_name.as_deref();
        let definition = &operation(&known.document, name)?.node;
        let variables = variables::coerce(definition, &request.variables, &self.shapes)?;
        bounds::check(&known.document, &variables, &self.shapes, &self.limits)?;
        let absent = definition
            .variable_definitions
            .iter()
            .any(|v| !variables.contains_key(&v.node.name.node));
        let special = match absent || known.has_directive_variables {
            true => specialise::specialise(&known.document, name, &variables),
            false => None,
        };
        let (operation_name, kind) = (request.operation_name, known.kind);
        let shapes = self.shapes.clone();
        Ok(match special {
            Some(special) => Prepared {
                document: Arc::new(special),
                operation_name,
                variables,
                kind,
                shapes,
                known: None,
            },
            None => {
                let document = known.document.clone();
                Prepared {
                    document,
                    operation_name,
                    variables,
                    kind,
                    shapes,
                    known: Some(known),
                }
            }
        })
    }

    /// Parses a document, chooses the operation, and folds a subscription's root.
    fn learn(&self, text: Text) -> Result<Arc<CachedDocument>, ApiError> {
        let mut document = self.parse(&text.1)?;
        directives::check(&document)?;
        if self.introspection == Introspection::Refused {
            introspection::refuse(&document)?;
        }
        let name = text.0.as_deref();
        let chosen = operation(&document, name)?;
        let kind = chosen.node.ty;
        if kind == OperationType::Subscription {
            let field = root::single_field(&chosen.node, &document.fragments)?;
            root::write_back(&mut document, name, field);
        }
        let known = Arc::new(CachedDocument {
            has_directive_variables: specialise::has_directive_variables(&document),
            document: Arc::new(document),
            kind,
            valid: AtomicBool::new(false),
            plan: OnceLock::new(),
        });
        self.documents.insert(text, known.clone());
        Ok(known)
    }

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
        parse_query(text).map_err(|error| {
            let positions: Vec<_> = error.positions().collect();
            let message = format!("Syntax error: {error}");
            positions.iter().fold(
                ApiError::new(Code::GraphqlParseFailed, message),
                |error, at| error.at(*at),
            )
        })
    }
}

fn too_complex(what: &str, most: usize) -> ApiError {
    ApiError::new(
        Code::TooComplex,
        format!("The document asks for too much: it may have {most} {what}."),
    )
}

/// The operation that a request names, or the only one.
pub(super) fn operation<'a>(
    document: &'a ExecutableDocument,
    name: Option<&str>,
) -> Result<&'a Positioned<OperationDefinition>, ApiError> {
    let failed = |message: String| ApiError::new(Code::GraphqlValidationFailed, message);
    match (&document.operations, name) {
        (DocumentOperations::Single(operation), None) => Ok(operation),
        (DocumentOperations::Multiple(operations), Some(name)) => operations
            .get(name)
            .ok_or_else(|| failed(format!("Unknown operation named \"{name}\"."))),
        (DocumentOperations::Single(_), Some(name)) => {
            Err(failed(format!("Unknown operation named \"{name}\".")))
        }
        (DocumentOperations::Multiple(operations), None) => match operations.values().next() {
            Some(operation) if operations.len() == 1 => Ok(operation),
            _ => Err(failed(
                "The document has several operations: say which in operationName.".to_owned(),
            )),
        },
    }
}

fn operation_mut<'a>(
    document: &'a mut ExecutableDocument,
    name: Option<&str>,
) -> Option<&'a mut Positioned<OperationDefinition>> {
    match (&mut document.operations, name) {
        (DocumentOperations::Single(operation), _) => Some(operation),
        (DocumentOperations::Multiple(operations), Some(name)) => operations.get_mut(name),
        (DocumentOperations::Multiple(operations), None) => operations.values_mut().next(),
    }
}
