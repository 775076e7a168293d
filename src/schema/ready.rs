//! Lists whose items are in memory are resolved in one loop.
//!
//! The executor of the library makes a future for each field of each item, and polls them
//! concurrently. That is needed for fields that wait. For a page of messages it costs several times
//! what the page itself costs. So a type names its **ready** fields: those that need neither a read
//! nor the context. If a document selects only ready fields of a list, [`ReadyList`] makes the
//! values itself. Otherwise it leaves the list to the executor.
//!
//! Both ways give the same values and charge the same cost.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use async_graphql::{
    ContextSelectionSet, Name, OutputType, Positioned, ServerResult, Value,
    indexmap::IndexMap,
    parser::types::{Field, FragmentDefinition, Selection, SelectionSet},
    registry::Registry,
};

use super::cost::ResponseCost;

/// Makes the value of a field of an object.
pub(super) type MakeValue<T> = Box<dyn Fn(&T) -> Value + Send + Sync>;

/// The fragments of a document, by name.
pub(super) type DocumentFragments = HashMap<Name, Positioned<FragmentDefinition>>;

/// An object with ready fields.
pub(super) trait ReadyObject: OutputType {
    /// The object's type and its interfaces: a fragment on one of them applies to every object.
    const TYPES: &'static [&'static str];

    /// How the value of a field is made. None if the field is not ready.
    fn ready(field: &Field, fragments: &DocumentFragments) -> Option<MakeValue<Self>>;
}

/// The selected fields of an object, if all are ready.
pub(super) struct ReadyFields<T: ReadyObject>(Vec<(Name, MakeValue<T>)>);

impl<T: ReadyObject> ReadyFields<T> {
    fn of(selected: &SelectionSet, fragments: &DocumentFragments) -> Option<Self> {
        let mut fields = Self(Vec::with_capacity(selected.items.len()));
        fields.add(selected, fragments)?;
        Some(fields)
    }

    /// The fields of an object that is a field itself, for [`ReadyObject::ready`].
    pub(super) fn below(field: &Field, fragments: &DocumentFragments) -> Option<Self> {
        Self::of(&field.selection_set.node, fragments)
    }

    fn add(&mut self, selected: &SelectionSet, fragments: &DocumentFragments) -> Option<()> {
        for selection in &selected.items {
            if !selection.node.directives().is_empty() {
                return None;
            }
            match &selection.node {
                Selection::Field(field) => self.add_field(&field.node, fragments)?,
                Selection::InlineFragment(fragment) => {
                    let on = fragment.node.type_condition.as_ref();
                    if on.is_some_and(|on| !applies::<T>(&on.node.on.node)) {
                        return None;
                    }
                    self.add(&fragment.node.selection_set.node, fragments)?;
                }
                Selection::FragmentSpread(spread) => {
                    let fragment = &fragments.get(&spread.node.fragment_name.node)?.node;
                    let on = &fragment.type_condition.node.on.node;
                    if !fragment.directives.is_empty() || !applies::<T>(on) {
                        return None;
                    }
                    self.add(&fragment.selection_set.node, fragments)?;
                }
            }
        }
        Some(())
    }

    fn add_field(&mut self, field: &Field, fragments: &DocumentFragments) -> Option<()> {
        let key = &field.response_key().node;
        if self.0.iter().any(|(known, _)| known == key) {
            // The same leaf twice is one value. The parts of an object would have to be merged.
            return field.selection_set.node.items.is_empty().then_some(());
        }
        let value = if field.name.node == "__typename" {
            Box::new(|_: &T| Value::String(T::type_name().into_owned()))
        } else {
            T::ready(field, fragments)?
        };
        self.0.push((key.clone(), value));
        Some(())
    }

    pub(super) fn value(&self, object: &T) -> Value {
        let fields = self.0.iter();
        let fields: IndexMap<_, _> = fields
            .map(|(key, make)| (key.clone(), make(object)))
            .collect();
        Value::Object(fields)
    }
}

/// Whether a fragment on this type applies to every object of the type `T`.
fn applies<T: ReadyObject>(on: &str) -> bool {
    T::TYPES.contains(&on)
}

/// A list of objects in memory.
pub(super) struct ReadyList<T>(pub(super) Vec<T>);

impl<T: ReadyObject> OutputType for ReadyList<T> {
    fn type_name() -> Cow<'static, str> {
        Vec::<T>::type_name()
    }

    fn qualified_type_name() -> String {
        Vec::<T>::qualified_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        Vec::<T>::create_type_info(registry)
    }

    async fn resolve(
        &self,
        ctx: &ContextSelectionSet<'_>,
        field: &Positioned<Field>,
    ) -> ServerResult<Value> {
        let fields = ReadyFields::<T>::of(&ctx.item.node, &ctx.query_env.fragments);
        let Some(fields) = fields else {
            return self.0.resolve(ctx, field).await;
        };
        let cost = ctx.data_unchecked::<Arc<ResponseCost>>();
        let mut values = Vec::with_capacity(self.0.len());
        for object in &self.0 {
            // The hook of the executor refuses the whole list then.
            if cost.is_exceeded() {
                break;
            }
            let value = fields.value(object);
            cost.charge_whole(&value).await;
            values.push(value);
        }
        Ok(Value::List(values))
    }
}
