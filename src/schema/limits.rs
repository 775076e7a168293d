//! The limits of texts, pages, searches and answers.

use clap::Args;

use super::cost::CostLimits;
use crate::{
    domain::MessageText,
    limit::{at_least, defaults},
};

/// What a request may ask of texts, pages and searches, and what its answer may cost.
#[derive(Args, Clone, Copy, Debug)]
pub struct SchemaLimits {
    /// Bytes of a message's text (at least 1).
    #[arg(long, default_value_t = MessageText::BYTES_MAX, value_parser = at_least::<usize>(1))]
    pub text_bytes_max: usize,
    /// Entries on one page of a list (at least 1).
    #[arg(long, default_value_t = 100, value_parser = at_least::<u32>(1))]
    pub page_max: u32,
    /// Bytes of a search text (at least 1).
    #[arg(long, default_value_t = 512, value_parser = at_least::<usize>(1))]
    pub search_bytes_max: usize,
    /// Words of a search text (at least 1).
    #[arg(long, default_value_t = 16, value_parser = at_least::<usize>(1))]
    pub search_words_max: usize,
    /// Database reads for the answer to one request, or for all answers of a batch together.
    #[arg(long, default_value_t = 1_000)]
    pub answer_reads_max: usize,
    /// Bytes of the answer to one request, or of all answers of a batch together.
    #[arg(long, default_value_t = 8 * 1024 * 1024)]
    pub answer_bytes_max: usize,
    /// Database reads for the result of one event of a subscription.
    #[arg(long, default_value_t = 100)]
    pub frame_reads_max: usize,
    /// Bytes of the result of one event of a subscription.
    #[arg(long, default_value_t = 256 * 1024)]
    pub frame_bytes_max: usize,
}

impl Default for SchemaLimits {
    fn default() -> Self {
        defaults()
    }
}

impl SchemaLimits {
    /// What the answer to a query or a mutation, or to a batch of them, may cost.
    pub(super) fn answer(&self) -> CostLimits {
        CostLimits {
            reads_max: self.answer_reads_max,
            bytes_max: self.answer_bytes_max,
        }
    }

    /// What the result of one event of a subscription may cost.
    pub(super) fn frame(&self) -> CostLimits {
        CostLimits {
            reads_max: self.frame_reads_max,
            bytes_max: self.frame_bytes_max,
        }
    }
}
