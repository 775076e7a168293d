//! Searching. Most tests search twice: after the messages were sent, and again after the store has
//! indexed them.

use std::sync::Arc;

use switchboard::{
    domain::{
        Caller, Message, MessageId, MessageText, Role, Score, SearchMark, SearchQuery, User,
        Visibility,
    },
    store::{AppendError, CommandOutcome, RoomChange, Search, SearchOutcome},
};
use uuid::Uuid;

use crate::support::{
    NOW, Store, add, as_viewer, change, commit, create, remove, room, send, show, user,
};

pub(crate) fn asked(query: &str, within: Option<&str>, limit: u32) -> Search {
    let query = SearchQuery::parse(query, 512, 64).unwrap();
    Search {
        query,
        room: within.map(room),
        after: None,
        limit,
    }
}

async fn hits(store: &impl Store, search: &Search, caller: Caller) -> Vec<(String, SearchMark)> {
    match store.search(search, caller).await.unwrap() {
        SearchOutcome::Hits(hits) => hits
            .into_iter()
            .map(|hit| (hit.message.text().to_owned(), hit.mark))
            .collect(),
        other => panic!("{other:?}"),
    }
}

/// The messages of a batch of sends.
pub(crate) fn sent_messages(
    outcomes: Vec<Result<CommandOutcome, AppendError>>,
) -> Vec<Arc<Message>> {
    let message = |outcome: Result<CommandOutcome, AppendError>| match outcome.unwrap() {
        CommandOutcome::Sent(_, message) => message,
        other => panic!("{other:?}"),
    };
    outcomes.into_iter().map(message).collect()
}

/// The texts of the hits, best first.
pub(crate) async fn texts(
    store: &impl Store,
    query: &str,
    within: Option<&str>,
    caller: Caller,
) -> Vec<String> {
    hits(store, &asked(query, within, 100), caller)
        .await
        .into_iter()
        .map(|(text, _)| text)
        .collect()
}

/// Sends enough messages, and runs enough background steps, to index everything that was sent
/// before.
pub(crate) async fn settle(store: &impl Store, viewer: &User) {
    commit(store, &[create(viewer, "elsewhere", Visibility::Public)]).await;
    for _ in 0..6 {
        let batch: Vec<_> = (0..64)
            .map(|_| send(viewer, "elsewhere", "noise"))
            .collect();
        commit(store, &batch).await;
        store.background_step().await;
    }
}

pub(crate) async fn words_and_phrases_are_found(store: &impl Store) {
    let ann = user(store, "ann").await;
    let said = [
        "Deploy the API to production",
        "the deployment failed",
        "Le café est à Łódź",
        "東京タワーへ行く",
        "黒い猫",
        "v1.2.3 is out, don't worry",
    ];
    commit(store, &said.map(|text| send(&ann, "room-1", text))).await;
    for settled in [false, true] {
        if settled {
            settle(store, &ann).await;
        }
        for (query, expected) in [
            ("deploy", Some(0)),
            ("DEPLOYMENT", Some(1)),
            ("deplo", None),
            ("production api", Some(0)),
            ("\"the api\"", Some(0)),
            ("\"api the\"", None),
            ("api failed", None),
            ("CAFE lodz", Some(2)),
            ("タワー", Some(3)),
            ("東京", Some(3)),
            ("京東", None),
            ("猫", Some(4)),
            ("v1.2", Some(5)),
            ("v2.1", None),
            ("dont", None),
            ("don't", Some(5)),
            ("noisy", None),
        ] {
            for within in [None, Some("room-1")] {
                let found = texts(store, query, within, Caller::Anonymous).await;
                let expected: Vec<_> = expected
                    .map(|index: usize| said[index])
                    .into_iter()
                    .collect();
                assert_eq!(found, expected, "{query}, {within:?}, settled: {settled}");
            }
        }
        let everywhere = texts(store, "noise", None, Caller::Anonymous).await;
        assert_eq!(
            (everywhere.len(), settled),
            (if settled { 100 } else { 0 }, settled)
        );
        assert!(
            texts(store, "noise", Some("room-1"), Caller::Anonymous)
                .await
                .is_empty()
        );
    }
}

pub(crate) async fn g5_an_unreadable_room_is_searched_like_an_unknown_one(store: &impl Store) {
    let (ann, bob) = (user(store, "ann").await, user(store, "bob").await);
    let batch = [
        create(&ann, "hidden", Visibility::Private),
        send(&ann, "hidden", "secret"),
        create(&ann, "gone", Visibility::Public),
        send(&ann, "gone", "secret"),
        change(&ann, "gone", RoomChange::Delete),
    ];
    commit(store, &batch).await;
    for caller in [Caller::Anonymous, as_viewer(&bob)] {
        for id in ["hidden", "gone", "unknown"] {
            let found = store
                .search(&asked("secret", Some(id), 10), caller)
                .await
                .unwrap();
            assert!(matches!(found, SearchOutcome::NoRoom), "{id}: {found:?}");
        }
    }
    assert!(matches!(
        store
            .search(&asked("secret", Some("gone"), 10), as_viewer(&ann))
            .await
            .unwrap(),
        SearchOutcome::NoRoom
    ));
    assert_eq!(
        texts(store, "secret", Some("hidden"), as_viewer(&ann)).await,
        ["secret"]
    );
    assert!(
        texts(store, "other", Some("hidden"), as_viewer(&ann))
            .await
            .is_empty()
    );
}

pub(crate) async fn only_readable_messages_are_found(store: &impl Store) {
    let (ann, bob, eve) = (
        user(store, "ann").await,
        user(store, "bob").await,
        user(store, "eve").await,
    );
    let batch = [
        create(&ann, "private", Visibility::Private),
        create(&ann, "closing", Visibility::Public),
        create(&ann, "deleted", Visibility::Public),
        add(&ann, "private", &bob, Role::Member),
        add(&ann, "closing", &bob, Role::Member),
        send(&ann, "private", "needle 1"),
        send(&ann, "closing", "needle 2"),
        send(&ann, "deleted", "needle 3"),
        send(&eve, "room-1", "needle 4"),
    ];
    commit(store, &batch).await;
    for settled in [false, true] {
        if settled {
            settle(store, &ann).await;
        }
        assert_eq!(
            texts(store, "needle", None, Caller::Anonymous).await,
            ["needle 4", "needle 3", "needle 2"]
        );
        assert_eq!(
            texts(store, "needle", None, as_viewer(&eve)).await,
            ["needle 4", "needle 3", "needle 2"]
        );
        let all = ["needle 4", "needle 3", "needle 2", "needle 1"];
        assert_eq!(texts(store, "needle", None, as_viewer(&bob)).await, all);
    }
    commit(
        store,
        &[
            show(&ann, "closing", Visibility::Private),
            change(&ann, "deleted", RoomChange::Delete),
        ],
    )
    .await;
    assert_eq!(
        texts(store, "needle", None, as_viewer(&eve)).await,
        ["needle 4"]
    );
    assert_eq!(
        texts(store, "needle", None, as_viewer(&bob)).await,
        ["needle 4", "needle 2", "needle 1"]
    );
    commit(store, &[remove(&ann, "private", &bob)]).await;
    assert_eq!(
        texts(store, "needle", None, as_viewer(&bob)).await,
        ["needle 4", "needle 2"]
    );
    assert!(matches!(
        store
            .search(&asked("needle", Some("private"), 1), as_viewer(&bob))
            .await,
        Ok(SearchOutcome::NoRoom)
    ));
    commit(store, &[show(&ann, "closing", Visibility::Public)]).await;
    assert_eq!(
        texts(store, "needle", None, as_viewer(&eve)).await,
        ["needle 4", "needle 2"]
    );
}

pub(crate) async fn better_hits_come_first_and_then_newer_ones(store: &impl Store) {
    let ann = user(store, "ann").await;
    let said = [
        "cat one",
        "cat on a very long mat that nobody has ever seen",
        "cat cat",
        "cat two",
    ];
    commit(store, &said.map(|text| send(&ann, "room-1", text))).await;
    for settled in [false, true] {
        if settled {
            settle(store, &ann).await;
        }
        let found = texts(store, "cat", None, Caller::Anonymous).await;
        assert_eq!(
            found,
            [said[2], said[3], said[0], said[1]],
            "settled: {settled}"
        );
    }
}

/// The texts of all pages. `between` runs after each page.
pub(crate) async fn paged(
    store: &impl Store,
    mut search: Search,
    caller: Caller,
    mut between: impl AsyncFnMut(),
) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let page = hits(store, &search, caller).await;
        let Some((_, last)) = page.last() else {
            return all;
        };
        search.after = Some(*last);
        all.extend(page.into_iter().map(|(text, _)| text));
        between().await;
    }
}

/// A text that scores worse than all others in its test.
const LATE: &str = "needle in a stack of hay that is so long that it comes after all of the others";

pub(crate) async fn s5_pages_of_a_search_are_stable_while_messages_arrive(store: &impl Store) {
    let ann = user(store, "ann").await;
    commit(store, &[create(&ann, "a", Visibility::Public)]).await;
    // The lengths differ, so the order is neither by age nor by length alone.
    let said: Vec<_> = (0..40)
        .map(|n| format!("needle {n}{}", " more".repeat(n % 7)))
        .collect();
    let sends: Vec<_> = said
        .iter()
        .enumerate()
        .map(|(n, text)| send(&ann, ["room-1", "a"][n % 2], text))
        .collect();
    let sent = store.commit(&sends, NOW).await;
    for (within, count) in [(None, 40), (Some("a"), 20)] {
        let stood = texts(store, "needle", within, Caller::Anonymous).await;
        assert_eq!(stood.len(), count);
        let mut round = 0;
        let all = paged(
            store,
            asked("needle", within, 7),
            Caller::Anonymous,
            async || {
                round += 1;
                // Better and worse hits, in readable rooms and in an unreadable one.
                let batch = [
                    create(&ann, "p", Visibility::Private),
                    send(&ann, "p", "needle"),
                    send(&ann, "a", "needle needle"),
                    send(&ann, "room-1", "needle"),
                    send(&ann, "a", LATE),
                    send(&ann, "room-1", LATE),
                ];
                commit(store, &batch).await;
                if round == 2 {
                    settle(store, &ann).await;
                }
            },
        );
        assert_eq!(all.await, stood, "{within:?}");
        // Delete the messages that were sent between the pages, for the next round.
        for id in ["a", "room-1"] {
            for (text, mark) in
                hits(store, &asked("needle", Some(id), 200), Caller::Anonymous).await
            {
                if !said.contains(&text) {
                    commit(
                        store,
                        &[change(&ann, id, RoomChange::DeleteMessage(mark.message))],
                    )
                    .await;
                }
            }
        }
    }
    // Only messages that are deleted between pages are missing, even if they are at the ends of the
    // ranked range.
    let stood = texts(store, "needle", None, Caller::Anonymous).await;
    assert_eq!(stood.len(), 40);
    let ids = sent_messages(sent);
    let mut doomed = [&ids[0], &ids[39], &ids[20]].into_iter();
    let mut gone = Vec::new();
    let all = paged(
        store,
        asked("needle", None, 9),
        Caller::Anonymous,
        async || {
            if let Some(message) = doomed.next() {
                let id = message.cursor.room.as_str();
                commit(
                    store,
                    &[change(&ann, id, RoomChange::DeleteMessage(message.id))],
                )
                .await;
                gone.push(message.text().to_owned());
            }
        },
    );
    let all = all.await;
    assert_eq!(gone.len(), 3);
    let left: Vec<_> = stood
        .iter()
        .filter(|text| !gone.contains(text) || all.contains(text))
        .cloned()
        .collect();
    assert_eq!(all, left);
    assert!(
        all.len() < 40,
        "a message was deleted before its page was read"
    );
}

pub(crate) async fn a_mark_of_an_unknown_message_is_refused(store: &impl Store) {
    let ann = user(store, "ann").await;
    commit(store, &[send(&ann, "room-1", "needle")]).await;
    let (_, mark) = hits(store, &asked("needle", None, 1), Caller::Anonymous)
        .await
        .remove(0);
    let none = MessageId::from_uuid(Uuid::now_v7());
    for bad in [
        SearchMark {
            oldest: none,
            ..mark
        },
        SearchMark {
            newest: none,
            ..mark
        },
        SearchMark {
            message: none,
            score: Score(0),
            ..mark
        },
    ] {
        let search = Search {
            after: Some(bad),
            ..asked("needle", None, 1)
        };
        assert!(matches!(
            store.search(&search, Caller::Anonymous).await.unwrap(),
            SearchOutcome::NoMark
        ));
    }
}

pub(crate) async fn acknowledged_messages_are_found_at_once(store: &impl Store) {
    let ann = user(store, "ann").await;
    // More messages than several steps of the index.
    for round in 0..15 {
        let batch: Vec<_> = (0..64)
            .map(|n| send(&ann, "room-1", &format!("word{round}x{n}")))
            .collect();
        commit(store, &batch).await;
        for n in [0, 31, 63] {
            let word = format!("word{round}x{n}");
            assert_eq!(texts(store, &word, None, Caller::Anonymous).await, [word]);
        }
        store.background_step().await;
        let first = texts(store, "word0x0", Some("room-1"), Caller::Anonymous).await;
        assert_eq!(first, ["word0x0"], "after round {round}");
    }
}

pub(crate) async fn v6_a_deleted_message_is_not_found(store: &impl Store) {
    let ann = user(store, "ann").await;
    for settled in [false, true] {
        let batch = [
            send(&ann, "room-1", "needle in hay"),
            send(&ann, "room-1", "needle"),
        ];
        let message = sent_messages(store.commit(&batch, NOW).await).remove(0);
        if settled {
            settle(store, &ann).await;
        }
        assert_eq!(
            texts(store, "hay", None, Caller::Anonymous).await,
            ["needle in hay"]
        );
        let delete = change(&ann, "room-1", RoomChange::DeleteMessage(message.id));
        assert!(commit(store, std::slice::from_ref(&delete)).await[0].starts_with("rewritten"));
        assert_eq!(commit(store, &[delete]).await, ["done"]);
        assert!(
            texts(store, "hay", Some("room-1"), as_viewer(&ann))
                .await
                .is_empty()
        );
        settle(store, &ann).await;
        assert!(
            texts(store, "hay", Some("room-1"), as_viewer(&ann))
                .await
                .is_empty()
        );
    }
    assert_eq!(
        texts(store, "needle", None, Caller::Anonymous).await,
        ["needle", "needle"]
    );
}

/// Texts of pieces that may break queries and tokenizers. They are the same in every run.
fn odd_texts(count: usize) -> Vec<String> {
    let pieces: Vec<&str> = "a|B|needle|NEAR|AND|OR|NOT|1|_|\"|'|(|)|*|^|-|:|{|}|+|,|.|;|\\|%| | |\t|é|E\u{301}|ß|İ|ﬁ|Ｗ|Ω|\
                            ё|猫|東京|ガ|カ\u{3099}|\
                            한|ไทย|हि|न्दी|\u{200D}|\u{AD}|\u{202E}|🎉|👨\u{200D}👩|\u{FFFD}|\
                            \u{10FFFF}|\u{FA6E}|𝒳|٣|ﷺ|words:|rowid"
        .split('|')
        .collect();
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    (0..count)
        .map(|_| (0..=next(9)).map(|_| pieces[next(pieces.len())]).collect())
        .collect()
}

pub(crate) async fn every_text_finds_itself_and_no_text_is_syntax(store: &impl Store) {
    let ann = user(store, "ann").await;
    commit(store, &[create(&ann, "odd", Visibility::Public)]).await;
    let odd: Vec<_> = odd_texts(240)
        .into_iter()
        .filter(|text| MessageText::new(text).is_ok())
        .collect();
    for batch in odd.chunks(50) {
        commit(
            store,
            &batch
                .iter()
                .map(|text| send(&ann, "odd", text))
                .collect::<Vec<_>>(),
        )
        .await;
    }
    let mut searched = 0;
    for settled in [false, true] {
        if settled {
            settle(store, &ann).await;
        }
        for text in &odd {
            let Ok(query) = SearchQuery::parse(text, 512, 64) else {
                continue;
            };
            for within in [Some(room("odd")), None] {
                let search = Search {
                    query: query.clone(),
                    room: within,
                    after: None,
                    limit: 1000,
                };
                let found = hits(store, &search, Caller::Anonymous).await;
                assert!(
                    found.iter().any(|(found, _)| found == text),
                    "{text:?}, settled: {settled}"
                );
                searched += 1;
            }
        }
    }
    assert!(searched > 600, "{searched} of these texts hold words");
}
