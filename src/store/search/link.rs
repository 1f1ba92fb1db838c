//! Conditions that lead to other resources: chains, `_has`, `_list`, compartments. What the other resource is looked up
//! by is within the caller's reach like everything else.

use super::{
    filter::{Place, push_filters, push_joins},
    lookup::push_parameter,
    statement::{Statement, push_tenants, push_types, push_visible},
};
use crate::fhir::search::{Chain, Compartment, Has, parameter_id};

/// The keys of the resources whose reference leads to a visible resource that fulfils the conditions.
pub fn push_chain(sql: &mut Statement, place: Place<'_>, chain: &Chain) {
    let reach = place.reach;
    let targets: Vec<_> = chain.targets.iter().filter(|target| reach.types.contains_key(&target.type_name)).collect();
    if targets.is_empty() {
        sql.push("false");
        return;
    }
    place.push_among(sql);
    for (index, target) in targets.into_iter().enumerate() {
        let (f, t) = (sql.alias("f"), sql.alias("t"));
        let types = [target.type_name.clone()];
        let inner = Place { reach, r: &t, tenant: None, types: &types };
        sql.push(if index == 0 { "" } else { " union all " });
        place.push_keys(sql, &f);
        sql.push("resource ").push(&t);
        let rest = push_joins(sql, inner, &target.filters);
        sql.push(" join search_reference ").push(&f).push(" on ").push(&f).push(".target_id = ").push(&t).push(".id");
        sql.push(" and ").push(&f).push(".target_type = ").bind(target.type_name.clone()).push(" and ");
        place.push_within(sql, &f);
        sql.push(" and ");
        push_parameter(sql, &f, chain.parameter);
        sql.push(" where ");
        push_visible(sql, reach, &t);
        sql.push(" and ");
        push_types(sql, reach, &types, &t, None);
        push_filters(sql, inner, rest);
    }
    sql.push(")");
}

/// The ids of the resources that a visible resource refers to which fulfils the conditions.
pub fn push_has(sql: &mut Statement, place: Place<'_>, has: &Has) {
    let reach = place.reach;
    if !reach.types.contains_key(&has.type_name) {
        sql.push("false");
        return;
    }
    let (f, t) = (sql.alias("f"), sql.alias("t"));
    let types = [has.type_name.clone()];
    let inner = Place { reach, r: &t, tenant: None, types: &types };
    sql.push("(").push(place.r).push(".type = ").bind(has.target_type.clone()).push(" and ");
    sql.push(place.r).push(".id in (select ").push(&f).push(".target_id from search_reference ").push(&f);
    sql.push(" join resource ").push(&t).push(" on ").push(&t).push(".tenant = ").push(&f).push(".tenant and ");
    sql.push(&t).push(".key = ").push(&f).push(".key");
    let rest = push_joins(sql, inner, &has.filters);
    sql.push(" where ");
    push_tenants(sql, reach, &f);
    sql.push(" and ");
    push_parameter(sql, &f, has.parameter);
    sql.push(" and ").push(&f).push(".target_type = ").bind(has.target_type.clone()).push(" and ");
    push_visible(sql, reach, &t);
    sql.push(" and ");
    push_types(sql, reach, &types, &t, None);
    push_filters(sql, inner, rest);
    sql.push("))");
}

/// The items of a visible List.
pub fn push_list(sql: &mut Statement, place: Place<'_>, id: &str) {
    let reach = place.reach;
    if !reach.types.contains_key("List") {
        sql.push("false");
        return;
    }
    let (f, l) = (sql.alias("f"), sql.alias("l"));
    let types = ["List".to_owned()];
    sql.push("(").push(place.r).push(".type, ").push(place.r).push(".id) in (select ");
    sql.push(&f).push(".target_type, ").push(&f).push(".target_id from resource ").push(&l);
    sql.push(" join search_reference ").push(&f).push(" on ").push(&f).push(".tenant = ").push(&l).push(".tenant and ");
    sql.push(&f).push(".key = ").push(&l).push(".key and ");
    push_parameter(sql, &f, parameter_id("List", "item"));
    sql.push(" where ");
    push_tenants(sql, reach, &l);
    sql.push(" and ");
    sql.push(&l).push(".type = 'List' and ").push(&l).push(".id = ").bind(id.to_owned()).push(" and ");
    push_visible(sql, reach, &l);
    sql.push(" and ");
    push_types(sql, reach, &types, &l, None);
    sql.push(")");
}

/// Members of a compartment: they refer to its resource under one of the parameters, or are that resource.
pub fn push_compartment(sql: &mut Statement, place: Place<'_>, compartment: &Compartment) {
    let of_types = compartment.parameters.iter().filter(|(name, _)| place.types.contains(name));
    let mut parameters: Vec<i32> = Vec::new();
    let mut is_itself = false;
    for (name, numbers) in of_types {
        is_itself |= *name == compartment.type_name;
        // The index holds which patients a resource belongs to under one number for all types. Only what links a Patient
        // to another is not among them.
        if compartment.type_name == "Patient" && *name != "Patient" {
            parameters.push(place.reach.patients);
        } else {
            parameters.extend(numbers);
        }
    }
    parameters.sort_unstable();
    parameters.dedup();
    let f = sql.alias("f");
    place.push_among(sql);
    place.push_keys(sql, &f);
    sql.push("search_reference ").push(&f).push(" where ");
    place.push_within(sql, &f);
    sql.push(" and ").push(&f).push(".parameter = any(").bind(parameters).push(") and ");
    sql.push(&f).push(".target_type = ").bind(compartment.type_name.clone()).push(" and ");
    sql.push(&f).push(".target_id = ").bind(compartment.id.clone());
    if is_itself {
        let t = sql.alias("t");
        sql.push(" union all ");
        place.push_keys(sql, &t);
        sql.push("resource ").push(&t).push(" where ");
        place.push_within(sql, &t);
        sql.push(" and ").push(&t).push(".type = ").bind(compartment.type_name.clone());
        sql.push(" and ").push(&t).push(".id = ").bind(compartment.id.clone());
    }
    sql.push(")");
}
