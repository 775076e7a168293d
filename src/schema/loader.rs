//! Reads the store once per request, however often a document asks for the same thing.
//!
//! This is the DataLoader pattern: a resolver asks the loader, the first request for a key starts
//! the read, and all later requests for that key await the same read. A loader belongs to one
//! execution and one caller. After a mutation it is cleared, because what it holds may have
//! changed.
//!
//! Every read is charged to the [`CostMeter`] of the response.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use async_graphql::Context;
use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};

use super::{cost::CostMeter, error::ApiError};
use crate::{
    domain::{Caller, Member, Message, MessageId, Room, RoomId, Timestamp, UserId},
    store::{Log, StoreError},
    sync::Mutex,
};

/// The loader of one execution.
pub(super) struct Loader {
    log: Arc<dyn Log>,
    meter: Arc<CostMeter>,
    cache: Mutex<LoaderCache>,
}

/// The reads of this execution, started or finished.
#[derive(Default)]
struct LoaderCache {
    messages: Loads<(MessageId, RightCheck), Message>,
    rooms: Loads<(RoomId, RightCheck), Room>,
    memberships: Loads<RoomId, Member>,
}

/// Whether the right to read was checked before (`Shared`) or is checked by the read itself. The
/// two may give different results for the same id, so they are cached apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum RightCheck {
    AlreadyChecked,
    CheckedByRead,
}

impl From<Caller> for RightCheck {
    fn from(caller: Caller) -> Self {
        match caller {
            Caller::Shared => Self::AlreadyChecked,
            Caller::Anonymous | Caller::Viewer(_) => Self::CheckedByRead,
        }
    }
}

type Loads<K, T> = HashMap<K, Shared<BoxFuture<'static, Loaded<T>>>>;

/// The result of a load: `None` if the row does not exist or the caller may not read it.
pub(super) type Loaded<T> = Result<Option<Arc<T>>, ApiError>;

/// The loader of the execution that this field belongs to.
pub(super) fn loader<'a>(ctx: &Context<'a>) -> &'a Loader {
    ctx.data_unchecked::<Arc<Loader>>()
}

impl Loader {
    /// An empty loader that reads from `log` and charges `meter`.
    pub(super) fn new(log: Arc<dyn Log>, meter: Arc<CostMeter>) -> Arc<Self> {
        Arc::new(Self {
            log,
            meter,
            cache: Mutex::default(),
        })
    }

    /// Forgets everything that was loaded.
    pub(super) fn clear(&self) {
        *self.cache.lock() = LoaderCache::default();
    }

    /// Runs a read that is not cached, charged to the response like any other.
    pub(super) async fn read<T>(
        &self,
        read: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, ApiError> {
        self.meter.read(read).await
    }

    /// Loads a message that the caller may read.
    pub(super) async fn message(&self, id: MessageId, caller: Caller) -> Loaded<Message> {
        let log = self.log.clone();
        let read = async move { log.message(&id, caller).await };
        self.load((id, caller.into()), |cache| &mut cache.messages, read)
            .await
    }

    /// Loads a room that the caller may read.
    pub(super) async fn room(&self, id: &RoomId, caller: Caller) -> Loaded<Room> {
        let (log, room) = (self.log.clone(), id.clone());
        let read = async move { Ok(log.room(&room, caller).await?.map(Arc::new)) };
        self.load((id.clone(), caller.into()), |cache| &mut cache.rooms, read)
            .await
    }

    /// Loads the membership of `user`, who is the caller of this execution, in a room.
    pub(super) async fn membership(
        &self,
        room: &RoomId,
        user: UserId,
        now: Timestamp,
    ) -> Loaded<Member> {
        let (log, id) = (self.log.clone(), room.clone());
        let read = async move { Ok(log.membership(&id, user, now).await?.map(Arc::new)) };
        self.load(room.clone(), |cache| &mut cache.memberships, read)
            .await
    }

    /// The first request for a key starts the read; the others await it.
    async fn load<K: Hash + Eq, T>(
        &self,
        key: K,
        table: impl FnOnce(&mut LoaderCache) -> &mut Loads<K, T>,
        read: impl Future<Output = Result<Option<Arc<T>>, StoreError>> + Send + 'static,
    ) -> Loaded<T> {
        let load = {
            let mut cache = self.cache.lock();
            let meter = self.meter.clone();
            table(&mut cache)
                .entry(key)
                .or_insert_with(|| async move { meter.read(read).await }.boxed().shared())
                .clone()
        };
        load.await
    }
}
