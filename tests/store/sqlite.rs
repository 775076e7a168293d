//! SQLite itself: its file, files of older versions, and its limits.

use std::{collections::HashSet, time::Duration};

use sqlx::{Connection, Row, SqliteConnection};
use switchboard::{
    domain::{Caller, Visibility},
    store::{
        Append, Log, Maintenance, RoomChange, Search, SearchOutcome,
        sqlite::{Sqlite, SqliteLimits},
    },
};

use crate::{
    Folder,
    search::{asked, paged, sent_messages, settle, texts},
    sqlite_with,
    support::{NOW, as_viewer, change, commit, create, join, remove, room, send, user},
};

fn url(folder: &Folder) -> String {
    format!("sqlite://{}", folder.0.join("test.db").display())
}

async fn reopened(folder: &Folder) -> Sqlite {
    Sqlite::open(&url(folder), SqliteLimits::default())
        .await
        .unwrap()
}

/// Every sequence of twelve hexadecimal digits in the files of the database.
fn digits(folder: &Folder) -> HashSet<[u8; 12]> {
    let mut found = HashSet::new();
    for file in std::fs::read_dir(&folder.0).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let runs = bytes.split(|byte| !matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        found.extend(
            runs.flat_map(|run| run.windows(12))
                .map(|window| <[u8; 12]>::try_from(window).unwrap()),
        );
    }
    found
}

#[tokio::test]
async fn v6_nothing_of_a_deleted_text_is_left_in_the_files() {
    let (store, folder) = sqlite_with(SqliteLimits::default()).await;
    let ann = user(&store, "ann").await;
    // Texts of several lengths, some of which stay: so pages split, merge and are used again.
    let word = |n: u32| format!("{:x}", scattered(n));
    let mut sent = Vec::new();
    for from in (0..1200).step_by(60) {
        let batch: Vec<_> = (from..from + 60)
            .map(|n| {
                send(
                    &ann,
                    "room-1",
                    &format!(
                        "{} {}",
                        word(n),
                        "lorem ".repeat([1, 5, 40, 900][n as usize % 4])
                    ),
                )
            })
            .collect();
        sent.extend(store.commit(&batch, NOW).await);
        store.background_step().await;
    }
    let doomed: Vec<_> = sent_messages(sent)
        .into_iter()
        .enumerate()
        .filter(|(n, _)| n % 3 == 0 || *n > 1190)
        .collect();
    for chunk in doomed.chunks(50) {
        let batch: Vec<_> = chunk
            .iter()
            .map(|(_, message)| change(&ann, "room-1", RoomChange::DeleteMessage(message.id)))
            .collect();
        assert!(
            commit(&store, &batch)
                .await
                .iter()
                .all(|outcome| outcome.starts_with("rewritten"))
        );
        settle(&store, &ann).await;
    }
    let mut file = SqliteConnection::connect(&url(&folder)).await.unwrap();
    sqlx::raw_sql("insert into search (search) values ('integrity-check')")
        .execute(&mut file)
        .await
        .unwrap();
    file.close().await.unwrap();
    // Closing moves the write-ahead log into the file.
    store.close().await;
    let gone: HashSet<u32> = doomed
        .iter()
        .map(|(n, _)| u32::try_from(*n).unwrap())
        .collect();
    let left = digits(&folder);
    for n in 0..1200 {
        // The index stores a word without the prefix that it shares with the word before it.
        let rest: [u8; 12] = word(n).as_bytes()[4..].try_into().unwrap();
        assert_eq!(left.contains(&rest), !gone.contains(&n), "word {n}");
    }
}

/// A number for each `n`, of sixteen hexadecimal digits. No two of them share a long part.
fn scattered(n: u32) -> u64 {
    (u64::from(n) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1 << 63
}

#[tokio::test]
async fn s5_a_search_stops_looking_for_older_messages_after_its_time() {
    let limits = |search_timeout| SqliteLimits {
        search_timeout,
        ..SqliteLimits::default()
    };
    let (store, folder) = sqlite_with(limits(Duration::ZERO)).await;
    let ann = user(&store, "ann").await;
    for n in 0..20 {
        let text = |m| format!("alpha beta gamma {n} {m}");
        let batch: Vec<_> = (0..100).map(|m| send(&ann, "room-1", &text(m))).collect();
        commit(&store, &batch).await;
    }
    settle(&store, &ann).await;
    let found = async |store: &Sqlite, query| {
        let search = asked(query, Some("room-1"), 1000);
        match store.search(&search, Caller::Anonymous).await.unwrap() {
            SearchOutcome::Hits(hits) => hits.len(),
            other => panic!("{other:?}"),
        }
    };
    let query = "\"alpha beta\" gamma";
    assert_eq!(found(&store, query).await, 1000);
    store.close().await;
    let store = Sqlite::open(&url(&folder), limits(Duration::from_nanos(1))).await;
    let store = store.unwrap();
    for _ in 0..5 {
        assert!(found(&store, query).await < 1000);
    }
    store.close().await;
}

#[tokio::test]
async fn joins_and_departures_keep_the_number_of_members() {
    let limits = SqliteLimits {
        members_per_room_max: 3,
        ..SqliteLimits::default()
    };
    let (store, _folder) = sqlite_with(limits).await;
    let [ann, bob, cid, dan] = ["ann", "bob", "cid", "dan"].map(|name| user(&store, name));
    let (ann, bob, cid, dan) = (ann.await, bob.await, cid.await, dan.await);
    commit(&store, &[create(&ann, "a", Visibility::Public)]).await;
    let full = "RoomFull";
    for round in 0..3 {
        let joined = commit(&store, &[join(&bob, "a"), join(&bob, "a"), join(&cid, "a")]).await;
        assert!(
            joined.iter().all(|outcome| outcome != full),
            "{round}: {joined:?}"
        );
        assert_eq!(commit(&store, &[join(&dan, "a")]).await, [full], "{round}");
        let left = [
            change(&bob, "a", RoomChange::Leave),
            remove(&ann, "a", &cid),
        ];
        commit(&store, &left).await;
    }
    store.close().await;
}

#[tokio::test]
async fn messages_older_than_the_index_are_found() {
    let (store, folder) = sqlite_with(SqliteLimits::default()).await;
    let ann = user(&store, "ann").await;
    commit(
        &store,
        &[
            send(&ann, "room-1", "ancient needle"),
            create(&ann, "b", Visibility::Public),
        ],
    )
    .await;
    for _ in 0..90 {
        let batch: Vec<_> = (0..60).map(|_| send(&ann, "b", "hay")).collect();
        commit(&store, &batch).await;
    }
    store.close().await;
    // The state that an older version left.
    let mut file = SqliteConnection::connect(&url(&folder)).await.unwrap();
    let undo = "drop table search; drop table search_state; drop table search_rooms;
                drop index rooms_public; drop index members_by_user; create index members_by_user on members (user_id);
                delete from _sqlx_migrations where version = 4";
    sqlx::raw_sql(undo).execute(&mut file).await.unwrap();
    file.close().await.unwrap();

    let store = reopened(&folder).await;
    let query = switchboard::domain::SearchQuery::parse("needle", 99, 9).unwrap();
    let search = Search {
        query,
        room: Some(room("room-1")),
        after: None,
        limit: 10,
    };
    assert!(
        matches!(store.search_now(&search).await, SearchOutcome::NotYet),
        "5401 messages are too many to look through"
    );
    let mut steps = 0;
    while store.catch_up().await.unwrap() {
        steps += 1;
    }
    assert_eq!(steps, 5401 / 256, "each step is bounded");
    assert_eq!(
        texts(&store, "needle", None, Caller::Anonymous).await,
        ["ancient needle"]
    );
    assert_eq!(
        texts(&store, "ancient", Some("room-1"), as_viewer(&ann)).await,
        ["ancient needle"]
    );
}

trait SearchNow {
    async fn search_now(&self, search: &Search) -> SearchOutcome;
}

impl SearchNow for Sqlite {
    async fn search_now(&self, search: &Search) -> SearchOutcome {
        switchboard::store::Log::search(self, search, Caller::Anonymous)
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn an_index_of_other_rules_or_other_messages_is_rebuilt() {
    let (store, folder) = sqlite_with(SqliteLimits::default()).await;
    let ann = user(&store, "ann").await;
    commit(&store, &[send(&ann, "room-1", "needle")]).await;
    settle(&store, &ann).await;
    store.close().await;
    for damage in [
        "update search_state set folding = 'of old'",
        "update search_state set message_id = 'another'",
    ] {
        let mut file = SqliteConnection::connect(&url(&folder)).await.unwrap();
        sqlx::raw_sql(damage).execute(&mut file).await.unwrap();
        file.close().await.unwrap();
        let store = reopened(&folder).await;
        let mut file = SqliteConnection::connect(&url(&folder)).await.unwrap();
        let upto = sqlx::query("select upto from search_state")
            .fetch_one(&mut file)
            .await
            .unwrap();
        assert_eq!(upto.get::<i64, _>("upto"), 0, "{damage}");
        while store.catch_up().await.unwrap() {}
        sqlx::raw_sql("insert into search (search) values ('integrity-check')")
            .execute(&mut file)
            .await
            .unwrap();
        assert_eq!(
            texts(&store, "needle", None, Caller::Anonymous).await,
            ["needle"]
        );
        file.close().await.unwrap();
        store.close().await;
    }
    let mut file = SqliteConnection::connect(&url(&folder)).await.unwrap();
    sqlx::raw_sql("vacuum").execute(&mut file).await.unwrap();
    file.close().await.unwrap();
    assert_eq!(
        texts(&reopened(&folder).await, "needle", None, Caller::Anonymous).await,
        ["needle"],
        "after a vacuum"
    );
}

#[tokio::test]
async fn s5_only_the_newest_candidates_are_ranked() {
    let limits = SqliteLimits {
        search_candidates_max: 3,
        ..SqliteLimits::default()
    };
    let (store, _folder) = sqlite_with(limits).await;
    let (ann, bob) = (user(&store, "ann").await, user(&store, "bob").await);
    commit(&store, &[create(&ann, "private", Visibility::Private)]).await;
    let said = ["needle needle", "needle a", "needle b", "needle c c"];
    for (n, text) in said.into_iter().enumerate() {
        commit(&store, &[send(&ann, "room-1", text)]).await;
        // The third message is the last one in the index. Messages in an unreadable room do not
        // count for other users.
        if n == 2 {
            settle(&store, &ann).await;
        }
        let unread: Vec<_> = (0..5).map(|_| send(&ann, "private", "needle")).collect();
        commit(&store, &unread).await;
    }
    for caller in [Caller::Anonymous, as_viewer(&bob)] {
        assert_eq!(
            texts(&store, "needle", None, caller).await,
            ["needle b", "needle a", "needle c c"]
        );
        assert_eq!(
            texts(&store, "needle", Some("room-1"), caller).await,
            ["needle b", "needle a", "needle c c"]
        );
    }
    assert_eq!(
        texts(&store, "needle", None, as_viewer(&ann)).await,
        ["needle", "needle", "needle"]
    );

    // Later pages rank the same messages: a new message replaces none, and a deleted message admits
    // no older one.
    let all = paged(
        &store,
        asked("needle", Some("room-1"), 1),
        Caller::Anonymous,
        async || {
            commit(&store, &[send(&ann, "room-1", "needle d d d")]).await;
        },
    );
    assert_eq!(all.await, ["needle b", "needle a", "needle c c"]);
    let sent = ["needle e", "needle f", "needle g"].map(|text| send(&ann, "room-1", text));
    let sent = sent_messages(store.commit(&sent, NOW).await);
    let mut doomed = Some(sent[1].id);
    let all = paged(
        &store,
        asked("needle", Some("room-1"), 1),
        Caller::Anonymous,
        async || {
            if let Some(id) = doomed.take() {
                commit(
                    &store,
                    &[change(&ann, "room-1", RoomChange::DeleteMessage(id))],
                )
                .await;
            }
        },
    );
    assert_eq!(all.await, ["needle g", "needle e"]);
}

#[tokio::test]
async fn s5_a_search_without_a_room_is_limited_to_some_rooms() {
    let limits = SqliteLimits {
        search_rooms_max: 2,
        ..SqliteLimits::default()
    };
    let (store, _folder) = sqlite_with(limits).await;
    let (ann, bob) = (user(&store, "ann").await, user(&store, "bob").await);
    let batch = [
        create(&ann, "a", Visibility::Private),
        send(&ann, "a", "needle in a"),
        send(&bob, "room-1", "needle in room-1"),
        create(&bob, "b", Visibility::Public),
        send(&bob, "b", "needle in b"),
    ];
    for (n, command) in batch.into_iter().enumerate() {
        let now = switchboard::domain::Timestamp(i64::MAX / 2 + i64::try_from(n).unwrap());
        store.commit(&[command], now).await.remove(0).unwrap();
    }
    for settled in [false, true] {
        if settled {
            settle(&store, &bob).await;
        }
        let found = texts(&store, "needle", None, as_viewer(&ann)).await;
        assert_eq!(
            found,
            ["needle in b", "needle in a"],
            "one's own first, then the newest; settled: {settled}"
        );
        assert_eq!(
            texts(&store, "needle", Some("room-1"), as_viewer(&ann)).await,
            ["needle in room-1"]
        );
    }
}
