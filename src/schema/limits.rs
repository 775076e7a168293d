//! The limits of texts, pages, searches and answers.

use clap::Args;

use super::cost::CostLimits;
use crate::{
    domain::MessageText,
    limit::{at_least, defaults},
};

/// Limits of texts, pages and searches, and of the cost of an answer.
#[derive(Args, Clone, Copy, Debug)]
pub struct SchemaLimits {
    /// Maximum bytes of a message's text (at least 1).
    #[arg(long, default_value_t = MessageText::BYTES_MAX, value_parser = at_least::<usize>(1))]
    pub text_bytes_max: usize,
    /// Maximum entries on one page of a list field such as `messages` (at least 1).
    #[arg(long, default_value_t = 100, value_parser = at_least::<u32>(1))]
    pub page_max: u32,
    /// Maximum bytes of a search text (at least 1).
    #[arg(long, default_value_t = 512, value_parser = at_least::<usize>(1))]
    pub search_bytes_max: usize,
    /// Maximum words of a search text (at least 1). Each pair of neighbouring Chinese characters
    /// counts as a word, so four characters are three words.
    #[arg(long, default_value_t = 16, value_parser = at_least::<usize>(1))]
    pub search_words_max: usize,
    /// Maximum searches of one user that run at the same time. More wait.
    #[arg(long, default_value_t = 1)]
    pub searches_per_user_max: usize,
    /// Maximum searches of all callers at one address that run at the same time. More wait.
    #[arg(long, default_value_t = 1)]
    pub searches_per_address_max: usize,
    /// Maximum database reads for one query or mutation, or for a whole batch of them.
    #[arg(long, default_value_t = 1_000)]
    pub answer_reads_max: usize,
    /// Maximum bytes of the answer to one query or mutation, or to a whole batch of them.
    #[arg(long, default_value_t = 8 * 1024 * 1024)]
    pub answer_bytes_max: usize,
    /// Maximum database reads to make one result of a subscription.
    #[arg(long, default_value_t = 100)]
    pub frame_reads_max: usize,
    /// Maximum bytes of one result of a subscription.
    #[arg(long, default_value_t = 256 * 1024)]
    pub frame_bytes_max: usize,
}

impl Default for SchemaLimits {
    fn default() -> Self {
        defaults()
    }
}

impl SchemaLimits {
    /// The cost limits of the answer to a query or a mutation, or to a batch of them.
    pub(super) fn answer(&self) -> CostLimits {
        CostLimits {
            reads_max: self.answer_reads_max,
            bytes_max: self.answer_bytes_max,
        }
    }

    /// The cost limits of the result of one event of a subscription.
    pub(super) fn frame(&self) -> CostLimits {
        CostLimits {
            reads_max: self.frame_reads_max,
            bytes_max: self.frame_bytes_max,
        }
    }
}
