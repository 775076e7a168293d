//! Shared plans: their executions have no viewer, survive panics, and are bounded.

use std::collections::HashMap;

use async_graphql::parser::{
    parse_schema,
    types::{BaseType, FieldDefinition, Type, TypeKind, TypeSystemDefinition},
};
use switchboard::{domain::Caller, hub::HubLimits, view::ViewLimits};

use crate::support::core::{Core, seqs, take_frames};

/// The fields of each object and interface of the schema.
fn fields() -> HashMap<String, Vec<FieldDefinition>> {
    let definitions = parse_schema(switchboard::schema::sdl())
        .unwrap()
        .definitions
        .into_iter();
    let named = definitions.filter_map(|definition| {
        let TypeSystemDefinition::Type(definition) = definition else {
            return None;
        };
        let fields = match definition.node.kind {
            TypeKind::Object(object) => object.fields,
            TypeKind::Interface(interface) => interface.fields,
            _ => return None,
        };
        Some((
            definition.node.name.node.to_string(),
            fields.into_iter().map(|field| field.node).collect(),
        ))
    });
    named.collect()
}

fn name_of(ty: &Type) -> &str {
    match &ty.base {
        BaseType::Named(name) => name,
        BaseType::List(item) => name_of(item),
    }
}

/// One selection for each path to each field below a type. No path visits a type twice, and fields
/// of the viewer are left out.
fn selections(
    of: &str,
    fields: &HashMap<String, Vec<FieldDefinition>>,
    above: &mut Vec<String>,
) -> Vec<String> {
    let mut found = Vec::new();
    for field in &fields[of] {
        let (name, below) = (field.name.node.as_str(), name_of(&field.ty.node));
        if name.starts_with("viewer") {
            continue;
        }
        if !fields.contains_key(below) {
            found.push(name.to_owned());
        } else if !above.iter().any(|known| known == below) {
            above.push(below.to_owned());
            let inner = selections(below, fields, above);
            above.pop();
            found.extend(
                inner
                    .into_iter()
                    .map(|inner| format!("{name} {{ {inner} }}")),
            );
        }
    }
    found
}

#[tokio::test]
async fn v2_every_field_resolves_without_a_viewer() {
    let core = Core::start().await;
    let (fields, mut above) = (fields(), vec!["Message".to_owned()]);
    let selections = selections("Message", &fields, &mut above);
    assert!(selections.len() > 12, "too few selections: {selections:?}");
    let mut readers = Vec::new();
    for selection in &selections {
        readers.push(core.reader(selection, None).await);
    }
    core.send_messages(1..=1).await;
    for (selection, reader) in selections.iter().zip(&mut readers) {
        let frames = take_frames(reader, 1).await;
        assert!(
            !frames[0].payload.contains("errors"),
            "{selection}: {}",
            frames[0].payload
        );
    }
    for (root, of) in [
        ("typing", "TypingEvent"),
        ("signals", "Signal"),
        ("presence", "PresenceEvent"),
    ] {
        for selection in self::selections(of, &fields, &mut vec![of.to_owned()]) {
            let query = format!(r#"subscription {{ {root}(roomId: "room-1") {{ {selection} }} }}"#);
            let mut reader = core
                .subscribe(Caller::Anonymous, query, serde_json::json!({}))
                .await
                .unwrap();
            let frames = take_frames(&mut reader, 1).await;
            assert!(
                !frames[0].payload.contains("errors"),
                "{selection}: {}",
                frames[0].payload
            );
        }
    }
}

#[tokio::test]
async fn v7_a_panic_costs_one_execution_and_no_frame() {
    let (core, faults) = Core::with_faults(ViewLimits::default(), HubLimits::default()).await;
    let mut room = core.reader("text room { name }", None).await;
    let mut plain = core.reader("text", None).await;
    core.send_messages(1..=1).await;
    take_frames(&mut room, 1).await;
    faults.panic_next(2);
    core.send_messages(2..=5).await;
    assert_eq!(
        seqs(&take_frames(&mut plain, 5).await),
        [1, 2, 3, 4, 5],
        "other documents are not affected"
    );
    assert_eq!(seqs(&take_frames(&mut room, 4).await), [2, 3, 4, 5]);
}

#[tokio::test]
async fn v3_plans_and_subscriptions_are_bounded_and_freed() {
    let limits = ViewLimits {
        subscriptions_per_viewer_max: 2,
        plans_bytes_max: 60_000,
        ..ViewLimits::default()
    };
    let core = Core::with_limits(limits, HubLimits::default()).await;
    let subscribe = async |selection: &str, caller: Caller| {
        core.reader_as(caller, "room-1", selection, None).await
    };
    let ann = Caller::Viewer(core.ann);
    let (first, second) = (
        subscribe("id", ann).await.unwrap(),
        subscribe("id", ann).await.unwrap(),
    );
    assert_eq!(
        subscribe("id", ann).await.err().as_deref(),
        Some("\"TOO_MANY_OPERATIONS\"")
    );
    subscribe("id", Caller::Anonymous).await.unwrap();
    drop(first);
    let third = subscribe("text", ann).await.unwrap();
    // A third document does not fit. A document that is cached still does.
    assert_eq!(
        subscribe("cursor", Caller::Anonymous)
            .await
            .err()
            .as_deref(),
        Some("\"UNAVAILABLE\"")
    );
    subscribe("text", Caller::Anonymous).await.unwrap();
    drop((second, third));
    while core.views.plans_live() > 0 {
        tokio::task::yield_now().await;
    }
    subscribe("cursor", ann).await.unwrap();
}
