//! A subscription in the mode Feed: items in, responses out.

use std::sync::Arc;

use async_graphql::{Response, parser::types::OperationType};
use futures::{StreamExt, channel::mpsc, stream::BoxStream};

use super::{
    cost::ResponseCost,
    error::{self, Code, is_temporary},
    loader::Loader,
    modes::{AsOf, FeedItem},
    null_propagation::propagate_nulls,
    prepare::{PlanDocument, Prepare},
    subscription::responds,
};
use crate::domain::Seq;

/// A long-lived execution of a plan.
///
/// Feed it one item at a time: call [`Feed::next`] again only after the last call has returned. An
/// execution whose last response was not taken must be thrown away. Each item has its own cost
/// limit.
pub struct Feed {
    pub(super) items: mpsc::UnboundedSender<FeedItem>,
    pub(super) as_of: Arc<AsOf>,
    pub(super) responses: BoxStream<'static, Response>,
    pub(super) plan: Arc<PlanDocument>,
    pub(super) prepare: Arc<Prepare>,
    pub(super) loader: Arc<Loader>,
    pub(super) cost: Arc<ResponseCost>,
}

/// The response to one item.
pub struct ItemResponse {
    /// The result.
    pub response: Response,
    /// The head of the room's log as of which the response shows the room. `None` if it shows its
    /// own event and nothing else.
    pub as_of: Option<Seq>,
}

/// Why an item has no response yet. The cause is temporary: the same item may succeed later (V7).
#[derive(Clone, Debug, thiserror::Error)]
pub enum FeedError {
    /// The execution has ended. Start a new feed.
    #[error("the execution has ended")]
    Ended,
    /// The execution panicked. Start a new feed.
    #[error("a resolver panicked")]
    Panicked,
    /// The execution took too long. Start a new feed.
    #[error("the execution took too long")]
    TimedOut,
    /// A resolver failed with this message.
    #[error("{0}")]
    Failed(String),
}

impl Feed {
    /// Whether an item has a response at all: each subscription field responds to some kinds of
    /// items.
    pub fn responds(&self, item: &FeedItem) -> bool {
        responds(&self.plan.field, item)
    }

    /// Runs the document on one item.
    pub async fn next(&mut self, item: FeedItem) -> Result<ItemResponse, FeedError> {
        self.cost.reset();
        self.loader.clear();
        let sent = self.items.unbounded_send(item);
        sent.map_err(|_| FeedError::Ended)?;
        let mut response = self.responses.next().await.ok_or(FeedError::Ended)?;
        error::add_codes(&mut response.errors, Code::BadUserInput);
        if let Some(error) = response.errors.iter().find(|error| is_temporary(error)) {
            return Err(FeedError::Failed(error.message.clone()));
        }
        self.cost.settle(&mut response, OperationType::Subscription);
        let shapes = &self.prepare.shapes;
        propagate_nulls(&mut response, &self.plan.document, None, shapes);
        Ok(ItemResponse {
            response,
            as_of: self.as_of.take(),
        })
    }
}
