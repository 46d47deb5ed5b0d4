//! What clients ask for and this server does not have yet: the types of `later.graphql`, so that documents that touch
//! them are valid, empty answers for what is read, and for changes an error that says what is missing.
//!
//! `later.graphql` is read once, when the schema is built: its types are put into the registry, and its
//! `extend type T` blocks become fields of `T` by [`Fields`], which `T` takes in with `#[graphql(flatten)]`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::LazyLock;

use async_graphql::indexmap::IndexMap;
use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    BaseType, Field, FieldDefinition, InputValueDefinition, Type, TypeDefinition, TypeKind,
    TypeSystemDefinition,
};
use async_graphql::registry::{
    MetaEnumValue, MetaField, MetaInputValue, MetaType, MetaTypeId, Registry,
};
use async_graphql::{
    ContainerType, Context, ContextSelectionSet, ErrorExtensions as _, Name, ObjectType,
    OutputType, Positioned, SelectionField, ServerError, ServerResult, Value,
};

/// Levels of an empty answer; the schema's own limit of depth is reached before.
const MAX_LEVELS: usize = 32;

static LATER: LazyLock<Later> =
    LazyLock::new(|| Later::read(include_str!("later.graphql")).expect("later.graphql is valid"));

/// A field that comes later.
struct LaterField {
    /// What has to exist first, in words.
    area: String,
    field: MetaField,
    ty: Type,
}

struct Later {
    types: Vec<MetaType>,
    /// Pairs of a type and an interface that it has.
    implements: Vec<(String, String)>,
    /// Fields by the type that they extend.
    extensions: BTreeMap<String, IndexMap<String, LaterField>>,
    /// The types of the fields of objects that come later, or of [`SHARED`].
    members: BTreeMap<String, BTreeMap<String, Type>>,
}

impl Later {
    fn read(text: &str) -> Result<Self, async_graphql::parser::Error> {
        let mut later = Self {
            types: Vec::new(),
            implements: Vec::new(),
            extensions: BTreeMap::new(),
            members: BTreeMap::new(),
        };
        let mut possible: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let definitions = parse_schema(text)?.definitions;
        let types = definitions
            .into_iter()
            .filter_map(|definition| match definition {
                TypeSystemDefinition::Type(definition) => Some(definition.node),
                TypeSystemDefinition::Schema(_) | TypeSystemDefinition::Directive(_) => None,
            });
        for definition in types {
            if let TypeKind::Object(object) = &definition.kind {
                for interface in &object.implements {
                    let (name, interface) = (&definition.name.node, &interface.node);
                    later
                        .implements
                        .push((name.to_string(), interface.to_string()));
                    possible
                        .entry(interface.to_string())
                        .or_default()
                        .push(name.to_string());
                }
            }
            if definition.extend {
                later.extend(definition);
            } else {
                later.add(definition);
            }
        }
        for ty in &mut later.types {
            if let MetaType::Interface {
                name,
                possible_types,
                ..
            } = ty
            {
                possible_types.extend(possible.remove(name).unwrap_or_default());
            }
        }
        Ok(later)
    }

    fn extend(&mut self, definition: TypeDefinition) {
        let area = definition
            .directives
            .iter()
            .find_map(
                |directive| match &directive.node.get_argument("area")?.node {
                    Value::String(area) => Some(area.clone()),
                    _ => None,
                },
            )
            .unwrap_or_default();
        let fields = self
            .extensions
            .entry(definition.name.node.to_string())
            .or_default();
        if let TypeKind::Object(object) = definition.kind {
            for field in object.fields {
                let ty = field.node.ty.node.clone();
                fields.insert(
                    field.node.name.node.to_string(),
                    LaterField {
                        area: area.clone(),
                        field: meta_field(field.node),
                        ty,
                    },
                );
            }
        }
    }

    fn add(&mut self, definition: TypeDefinition) {
        let name = definition.name.node.to_string();
        let ty = match definition.kind {
            TypeKind::Scalar => return,
            TypeKind::Object(object) => {
                let members = object.fields.iter().map(|field| {
                    let field = &field.node;
                    (field.name.node.to_string(), field.ty.node.clone())
                });
                self.members.insert(name.clone(), members.collect());
                object_type(&name, fields_of(object.fields), None)
            }
            TypeKind::Interface(interface) => MetaType::Interface {
                name,
                description: None,
                fields: fields_of(interface.fields),
                possible_types: async_graphql::indexmap::IndexSet::default(),
                extends: false,
                keys: None,
                visible: None,
                inaccessible: false,
                tags: Vec::new(),
                rust_typename: None,
                directive_invocations: Vec::new(),
                requires_scopes: Vec::new(),
            },
            TypeKind::Union(union) => MetaType::Union {
                name,
                description: None,
                possible_types: union
                    .members
                    .iter()
                    .map(|member| member.node.to_string())
                    .collect(),
                visible: None,
                inaccessible: false,
                tags: Vec::new(),
                rust_typename: None,
                directive_invocations: Vec::new(),
            },
            TypeKind::Enum(words) => MetaType::Enum {
                name,
                description: None,
                enum_values: words
                    .values
                    .iter()
                    .map(|value| meta_enum_value(&value.node.value.node))
                    .collect(),
                visible: None,
                inaccessible: false,
                tags: Vec::new(),
                rust_typename: None,
                directive_invocations: Vec::new(),
                requires_scopes: Vec::new(),
            },
            TypeKind::InputObject(input) => MetaType::InputObject {
                name,
                description: None,
                input_fields: inputs_of(input.fields),
                visible: None,
                inaccessible: false,
                tags: Vec::new(),
                rust_typename: None,
                oneof: false,
                directive_invocations: Vec::new(),
            },
        };
        self.types.push(ty);
    }

    /// Puts the types into the registry, once.
    fn register(&self, registry: &mut Registry) {
        for ty in &self.types {
            registry
                .types
                .entry(ty.name().to_owned())
                .or_insert_with(|| ty.clone());
        }
        for (ty, interface) in &self.implements {
            registry.add_implements(ty, interface);
        }
    }

    /// What there is of a value of type `ty`: nothing, in the least form that the type allows.
    fn nothing(&self, ty: &Type, selected: &SelectionField<'_>, levels: usize) -> Value {
        let name = match &ty.base {
            _ if ty.nullable && !self.is_connection(ty) => return Value::Null,
            BaseType::List(_) => return Value::List(Vec::new()),
            BaseType::Named(name) => name.as_str(),
        };
        match name {
            "Int" | "Int64" | "Float" => return Value::from(0),
            "Boolean" => return Value::from(false),
            "String" | "ID" | "JSONString" | "DateTime" => return Value::from(String::new()),
            _ => {}
        }
        let Some(levels) = levels.checked_sub(1) else {
            return Value::Null;
        };
        let mut object = IndexMap::new();
        for field in selected.selection_set() {
            if is_left_out(&field) {
                continue;
            }
            let value = match self.member(name, field.name()) {
                _ if field.name() == "__typename" => Value::from(name),
                Some(ty) => self.nothing(&ty, &field, levels),
                None => Value::Null,
            };
            object.insert(Name::new(field.alias().unwrap_or(field.name())), value);
        }
        Value::Object(object)
    }

    fn member(&self, object: &str, field: &str) -> Option<Type> {
        // The one object of ours that empty answers have in them.
        match (object, field) {
            ("PageInfo", "hasNextPage") => Type::new("Boolean!"),
            ("PageInfo", _) => Type::new("String"),
            _ => self.members.get(object)?.get(field).cloned(),
        }
    }

    /// A connection that may be null is an empty one all the same: callers go through its edges.
    fn is_connection(&self, ty: &Type) -> bool {
        match &ty.base {
            BaseType::Named(name) => {
                name.ends_with("Connection") && self.members.contains_key(name.as_str())
            }
            BaseType::List(_) => false,
        }
    }
}

/// Whether `@skip` or `@include` leave the field out.
fn is_left_out(field: &SelectionField<'_>) -> bool {
    let directives = field.directives().unwrap_or_default();
    directives.iter().any(|directive| {
        let condition = directive
            .get_argument("if")
            .map(|value| value.node == Value::Boolean(true));
        match directive.name.node.as_str() {
            "skip" => condition == Some(true),
            "include" => condition == Some(false),
            _ => false,
        }
    })
}

fn object_type(
    name: &str,
    fields: IndexMap<String, MetaField>,
    rust_typename: Option<&'static str>,
) -> MetaType {
    MetaType::Object {
        name: name.to_owned(),
        description: None,
        fields,
        cache_control: async_graphql::CacheControl::default(),
        extends: false,
        shareable: false,
        resolvable: true,
        keys: None,
        visible: None,
        inaccessible: false,
        interface_object: false,
        tags: Vec::new(),
        is_subscription: false,
        rust_typename,
        directive_invocations: Vec::new(),
        requires_scopes: Vec::new(),
    }
}

fn fields_of(fields: Vec<Positioned<FieldDefinition>>) -> IndexMap<String, MetaField> {
    fields
        .into_iter()
        .map(|field| (field.node.name.node.to_string(), meta_field(field.node)))
        .collect()
}

fn meta_field(field: FieldDefinition) -> MetaField {
    MetaField {
        name: field.name.node.to_string(),
        description: None,
        args: inputs_of(field.arguments),
        ty: field.ty.node.to_string(),
        deprecation: async_graphql::registry::Deprecation::NoDeprecated,
        cache_control: async_graphql::CacheControl::default(),
        external: false,
        requires: None,
        provides: None,
        visible: None,
        shareable: false,
        inaccessible: false,
        tags: Vec::new(),
        override_from: None,
        compute_complexity: None,
        directive_invocations: Vec::new(),
        requires_scopes: Vec::new(),
    }
}

fn inputs_of(inputs: Vec<Positioned<InputValueDefinition>>) -> IndexMap<String, MetaInputValue> {
    let inputs = inputs.into_iter().map(|input| {
        let input = input.node;
        let name = input.name.node.to_string();
        let meta = MetaInputValue {
            name: name.clone(),
            description: None,
            ty: input.ty.node.to_string(),
            deprecation: async_graphql::registry::Deprecation::NoDeprecated,
            default_value: input.default_value.map(|value| value.node.to_string()),
            visible: None,
            inaccessible: false,
            tags: Vec::new(),
            is_secret: false,
            directive_invocations: Vec::new(),
        };
        (name, meta)
    });
    inputs.collect()
}

fn meta_enum_value(name: &Name) -> (String, MetaEnumValue) {
    let value = MetaEnumValue {
        name: name.to_string(),
        description: None,
        deprecation: async_graphql::registry::Deprecation::NoDeprecated,
        visible: None,
        inaccessible: false,
        tags: Vec::new(),
        directive_invocations: Vec::new(),
    };
    (name.to_string(), value)
}

/// A type of ours that gets fields from `later.graphql`.
pub(crate) trait Place: Send + Sync {
    /// Its name.
    const TYPE: &'static str;
    /// Name of the type that holds the fields; nobody sees it.
    const HOLDER: &'static str;
    /// Whether its fields change something: these are refused.
    const CHANGES: bool = false;
}

macro_rules! places {
    ($($place:ident $holder:literal $changes:literal;)*) => { $(
        /// See [`Place`].
        pub(crate) struct $place;

        impl Place for $place {
            const TYPE: &'static str = stringify!($place);
            const HOLDER: &'static str = $holder;
            const CHANGES: bool = $changes;
        }
    )* };
}

places! {
    Query "QueryLater" false;
    Mutation "MutationLater" true;
    Organization "OrganizationLater" false;
    Entity "EntityLater" false;
    Project "ProjectLater" false;
}

/// The fields that the type `P` gets from `later.graphql`.
pub(crate) struct Fields<P>(PhantomData<P>);

impl<P> Fields<P> {
    pub(crate) const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<P: Place> OutputType for Fields<P> {
    fn type_name() -> Cow<'static, str> {
        P::HOLDER.into()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        registry.create_output_type::<Self, _>(MetaTypeId::Object, |registry| {
            LATER.register(registry);
            let fields = LATER
                .extensions
                .get(P::TYPE)
                .into_iter()
                .flatten()
                .map(|(name, later)| (name.clone(), later.field.clone()))
                .collect();
            object_type(P::HOLDER, fields, Some(std::any::type_name::<Self>()))
        })
    }

    async fn resolve(
        &self,
        _context: &ContextSelectionSet<'_>,
        _field: &Positioned<Field>,
    ) -> ServerResult<Value> {
        // Its fields are asked for through the type that takes them in.
        Ok(Value::Null)
    }
}

impl<P: Place> ContainerType for Fields<P> {
    async fn resolve_field(&self, context: &Context<'_>) -> ServerResult<Option<Value>> {
        let name = context.item.node.name.node.as_str();
        let Some(later) = LATER.extensions.get(P::TYPE).and_then(|ty| ty.get(name)) else {
            return Ok(None);
        };
        if P::CHANGES {
            let error = async_graphql::Error::new(refusal(name, &later.area)).extend_with(
                |_, extensions| {
                    extensions.set("code", "not_yet");
                    extensions.set("status", http::StatusCode::NOT_IMPLEMENTED.as_u16());
                },
            );
            return Err(context.set_error_path(error.into_server_error(context.item.pos)));
        }
        Ok(Some(LATER.nothing(&later.ty, &context.field(), MAX_LEVELS)))
    }
}

impl<P: Place> ObjectType for Fields<P> {}

/// What a change gets to hear that needs something which comes later.
fn refusal(field: &str, area: &str) -> String {
    format!("`{field}` needs {area}, which come with a later version of runlane")
}

/// Whether an error is such a refusal.
pub(super) fn is_refusal(error: &ServerError) -> bool {
    error
        .extensions
        .as_ref()
        .and_then(|extensions| extensions.get("code"))
        .is_some_and(|code| *code == Value::from("not_yet"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_later_hides_nothing_that_is_there() {
        let sdl = crate::graphql::schema().sdl();
        for (name, fields) in &LATER.extensions {
            let start = sdl.find(&format!("type {name} ")).expect("a type of ours");
            let end = sdl[start..].find("\n}").expect("its end") + start;
            for field in fields.keys() {
                let times = sdl[start..end]
                    .lines()
                    .filter(|line| {
                        let line = line.trim_start();
                        line.starts_with(&format!("{field}:"))
                            || line.starts_with(&format!("{field}("))
                    })
                    .count();
                assert_eq!(times, 1, "`{name}.{field}`");
            }
        }
    }

    #[test]
    fn all_types_that_are_named_exist() {
        let sdl = crate::graphql::schema().sdl();
        for ty in &LATER.types {
            for field in ty.fields().into_iter().flatten() {
                let name = field.1.ty.trim_matches(['[', ']', '!']);
                let known = ["String", "Int", "Float", "Boolean", "ID"].contains(&name)
                    || ["type", "interface", "enum", "scalar"]
                        .iter()
                        .any(|word| sdl.contains(&format!("{word} {name}")))
                    || sdl.contains(&format!("union {name} "));
                assert!(known, "`{}.{}: {name}`", ty.name(), field.0);
            }
        }
    }
}
