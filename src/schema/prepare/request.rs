//! A request, before and after it was prepared.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use async_graphql::{
    Variables,
    parser::types::{
        ExecutableDocument, OperationDefinition, OperationType, Selection, SelectionSet,
    },
};

use super::{operation::operation, plan::PlanDocument, shapes::Shapes};

/// A request as the client sent it.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The text of the document.
    pub query: String,
    /// The name of the operation to run. Required if the document has several operations.
    pub operation_name: Option<String>,
    /// Values of the variables.
    pub variables: Variables,
}

/// A request that may be executed: its document is bounded and parsed, its variables are coerced.
#[derive(Clone, Debug)]
pub struct Prepared {
    pub(super) document: Arc<ExecutableDocument>,
    pub(super) operation_name: Option<String>,
    pub(super) variables: Variables,
    pub(super) kind: OperationType,
    pub(super) shapes: Arc<Shapes>,
    /// The cache entry of the document. `None` if the document was changed for these variables.
    pub(super) cached: Option<Arc<CachedDocument>>,
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

    /// Whether a field of this operation may wait for something to happen: it has `pollMessages`.
    pub fn may_wait(&self) -> bool {
        let mut fragments = self.document.fragments.values();
        has_long_poll(&self.operation().selection_set.node)
            || fragments.any(|fragment| has_long_poll(&fragment.node.selection_set.node))
    }

    /// The plan of this subscription.
    pub fn plan(&self) -> Arc<PlanDocument> {
        let make = || {
            Arc::new(PlanDocument::new(
                &self.document,
                self.operation(),
                &self.variables,
                &self.shapes,
            ))
        };
        let Some(cached) = &self.cached else {
            return make();
        };
        if let Some(plan) = cached.plan.get() {
            return plan.clone();
        }
        let plan = make();
        // Without variables below the root, all requests with this text have the same plan.
        if plan.variables.is_empty() {
            cached.plan.get_or_init(|| plan).clone()
        } else {
            plan
        }
    }

    fn operation(&self) -> &OperationDefinition {
        let chosen = operation(&self.document, self.operation_name.as_deref());
        &chosen.expect("`Prepare` has chosen this operation").node
    }

    pub(in crate::schema) fn document(&self) -> Arc<ExecutableDocument> {
        self.document.clone()
    }

    pub(in crate::schema) fn cached(&self) -> Option<Arc<CachedDocument>> {
        self.cached.clone()
    }

    pub(in crate::schema) fn into_parts(
        self,
    ) -> (Arc<ExecutableDocument>, Option<String>, Variables) {
        (self.document, self.operation_name, self.variables)
    }
}

/// The field that waits.
const LONG_POLL: &str = "pollMessages";

/// Whether a selection, without its fragment spreads, has the field that waits.
fn has_long_poll(set: &SelectionSet) -> bool {
    set.items.iter().any(|selection| match &selection.node {
        Selection::Field(field) => field.node.name.node == LONG_POLL,
        Selection::InlineFragment(inline) => has_long_poll(&inline.node.selection_set.node),
        Selection::FragmentSpread(_) => false,
    })
}

/// A parsed document with its chosen operation, and facts about it that hold for every request.
#[derive(Debug)]
pub(in crate::schema) struct CachedDocument {
    pub(super) document: Arc<ExecutableDocument>,
    pub(super) kind: OperationType,
    /// Whether an argument of a directive is a variable.
    pub(super) has_directive_variables: bool,
    /// Whether the document has passed validation. Each request coerces its variables to their
    /// definitions, so a document that is valid once is valid for every request.
    is_valid: AtomicBool,
    plan: OnceLock<Arc<PlanDocument>>,
}

impl CachedDocument {
    /// An entry for a document that was not validated yet.
    pub(super) fn new(
        document: ExecutableDocument,
        kind: OperationType,
        has_directive_variables: bool,
    ) -> Self {
        Self {
            document: Arc::new(document),
            kind,
            has_directive_variables,
            is_valid: AtomicBool::new(false),
            plan: OnceLock::new(),
        }
    }

    /// Whether the document has passed validation.
    pub(in crate::schema) fn is_valid(&self) -> bool {
        self.is_valid.load(Ordering::Acquire)
    }

    /// Records that the document has passed validation.
    pub(in crate::schema) fn set_valid(&self) {
        self.is_valid.store(true, Ordering::Release);
    }
}
