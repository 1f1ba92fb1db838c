//! The behaviours of FHIR's REST API, row by row: which test keeps it, or why it is not kept.
//!
//! The letters: G general, R read, K create, U update, P patch, D delete, PR `Prefer`, S search, V search values, HI
//! history, B batch and transaction, A asynchronous requests.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use Row::{By, Not};

/// What is known of a row.
enum Row {
    /// These tests fail when it does not hold: `file::test`.
    By(&'static [&'static str]),
    /// It is left out, for a reason.
    Not(&'static str),
}

/// How many rows each letter has.
const LETTERS: [(&str, usize); 12] = [
    ("G", 21),
    ("R", 9),
    ("K", 9),
    ("U", 13),
    ("P", 10),
    ("D", 7),
    ("PR", 4),
    ("S", 17),
    ("V", 17),
    ("HI", 8),
    ("B", 16),
    ("A", 9),
];

const NO_ASYNC: Row = Not("asynchronous requests are not offered: the preference is ignored (RFC 7240), as A9 allows");

#[rustfmt::skip]
const ROWS: &[(&str, Row)] = &[
    ("G1", By(&["capability::every_interaction_of_a_type_is_offered_if_and_only_if_it_is_claimed", "capability::every_interaction_and_format_of_the_system_is_offered_if_and_only_if_it_is_claimed", "capability::every_operation_that_is_claimed_is_offered_and_others_are_not", "capability::conditional_interactions_are_what_the_statement_says", "capability::every_include_that_is_claimed_works", "capability::every_compartment_that_is_claimed_can_be_searched_and_no_other"])),
    ("G2", By(&["http::the_statement_has_a_tag_that_tells_whether_it_changed"])),
    ("G3", By(&["http::the_mode_chooses_the_statement"])),
    ("G4", By(&["http::addresses_are_utf8_and_types_are_case_sensitive", "gate::an_address_is_percent_encoded_utf8"])),
    ("G5", By(&["http::a_slash_at_the_end_changes_nothing"])),
    ("G6", By(&["http::head_answers_whatever_get_answers_without_its_body"])),
    ("G7", By(&["fhir_crud::interactions_that_do_not_exist_are_refused_with_an_outcome", "xml::errors_have_the_format_of_answers", "http::a_database_that_takes_too_long_ends_in_an_outcome", "http::a_long_address_works_and_a_too_long_one_is_refused", "gate::a_panic_is_answered_and_not_told", "gate::what_takes_too_long_is_answered_in_time"])),
    ("G8", By(&["fhir_crud::media_types_are_negotiated", "xml::the_answer_has_the_format_that_is_asked_for"])),
    ("G9", By(&["negotiate::the_format_liked_best_is_taken", "xml::the_answer_has_the_format_that_is_asked_for"])),
    ("G10", By(&["fhir_crud::media_types_are_negotiated", "negotiate::the_format_liked_best_is_taken"])),
    ("G11", By(&["fhir_crud::media_types_are_negotiated", "fhir_crud::a_body_without_a_media_type_is_refused", "http::a_body_in_another_charset_is_refused"])),
    ("G12", By(&["negotiate::the_parameter_goes_before_the_header", "xml::the_answer_has_the_format_that_is_asked_for"])),
    ("G13", By(&["http::pretty_answers_are_laid_out_and_keep_their_numbers", "pretty::a_document_is_laid_out_and_numbers_stay_text"])),
    ("G14", By(&["xml::the_answer_has_the_format_that_is_asked_for"])),
    ("G15", By(&["fhir_crud::media_types_are_negotiated", "xml::the_answer_has_the_format_that_is_asked_for", "format::all_names_in_use_are_known"])),
    ("G16", By(&["format::all_names_in_use_are_known", "xml::the_answer_has_the_format_that_is_asked_for"])),
    ("G17", By(&["http::a_page_of_a_registered_origin_may_use_all_of_the_api", "browser::a_page_of_a_registered_origin_may_call_the_fhir_api_and_no_other"])),
    ("G18", By(&["http::every_request_has_an_id_and_the_clients_comes_back"])),
    ("G19", By(&["http::every_request_has_an_id_and_the_clients_comes_back"])),
    ("G20", By(&["fhir_crud::bodies_that_are_no_resource_of_that_type_are_refused", "validate::create_and_update_refuse_what_is_not_r4_with_all_issues", "xml::all_faults_of_a_document_are_told_and_nothing_is_stored"])),
    ("G21", By(&["fhir_crud::a_resource_comes_back_as_it_went_in", "xml::a_resource_sent_in_xml_comes_back_in_either_format"])),

    ("R1", By(&["fhir_crud::a_create_is_answered_with_location_version_and_the_resource", "fhir_crud::every_r4_resource_type_can_be_stored"])),
    ("R2", By(&["fhir_crud::a_create_is_answered_with_location_version_and_the_resource"])),
    ("R3", By(&["fhir_crud::what_does_not_exist_is_not_found_and_what_was_deleted_is_gone"])),
    ("R4", By(&["http::addresses_are_utf8_and_types_are_case_sensitive", "fhir_crud::every_r4_resource_type_can_be_stored"])),
    ("R5", By(&["fhir_crud::what_does_not_exist_is_not_found_and_what_was_deleted_is_gone"])),
    ("R6", By(&["search::parts_of_resources_are_marked_as_parts"])),
    ("R7", By(&["http::conditional_reads_spare_what_the_client_has", "unchanged::who_has_the_version_is_told_so"])),
    ("R8", By(&["fhir_crud::an_update_makes_the_next_version_and_keeps_the_one_before"])),
    ("R9", By(&["fhir_crud::what_does_not_exist_is_not_found_and_what_was_deleted_is_gone"])),

    ("K1", By(&["fhir_crud::a_create_is_answered_with_location_version_and_the_resource"])),
    ("K2", By(&["fhir_crud::a_create_is_answered_with_location_version_and_the_resource"])),
    ("K3", By(&["fhir_crud::a_create_is_answered_with_location_version_and_the_resource"])),
    ("K4", By(&["fhir_crud::bodies_that_are_no_resource_of_that_type_are_refused", "validate::create_and_update_refuse_what_is_not_r4_with_all_issues", "fhir_crud::every_r4_resource_type_can_be_stored"])),
    ("K5", By(&["fhir_crud::bodies_that_are_no_resource_of_that_type_are_refused"])),
    ("K6", By(&["fhir_crud::a_resource_comes_back_as_it_went_in", "fhir_crud::hostile_texts_come_back_as_they_went_in"])),
    ("K7", By(&["fhir_crud::if_none_exist_creates_finds_or_refuses"])),
    ("K8", By(&["fhir_crud::if_none_exist_creates_finds_or_refuses"])),
    ("K9", By(&["conditional::of_many_equal_conditional_writes_one_creates", "replicas::equal_conditions_in_parallel_set_contexts_make_one_resource"])),

    ("U1", By(&["fhir_crud::an_update_makes_the_next_version_and_keeps_the_one_before", "fhir_crud::put_creates_only_where_the_deployment_says_so"])),
    ("U2", By(&["fhir_crud::an_update_whose_id_does_not_fit_is_refused"])),
    ("U3", By(&["fhir_crud::put_creates_only_where_the_deployment_says_so", "capability::ids_may_be_chosen_where_the_statement_says_so", "http::a_refused_method_is_told_the_others"])),
    ("U4", By(&["fhir_crud::put_creates_only_where_the_deployment_says_so", "conditional::a_conditional_update_creates_updates_or_refuses"])),
    ("U5", By(&["fhir_crud::an_update_makes_the_next_version_and_keeps_the_one_before"])),
    ("U6", By(&["fhir_crud::if_match_admits_the_current_version_only"])),
    ("U7", Not("If-Match is welcome, not demanded: the statement says `versioned`, not `versioned-update`")),
    ("U8", By(&["fhir_crud::put_after_delete_revives_with_a_new_version"])),
    ("U9", By(&["conditional::a_conditional_update_creates_updates_or_refuses"])),
    ("U10", By(&["conditional::a_conditional_update_creates_updates_or_refuses"])),
    ("U11", By(&["http::an_update_may_ask_that_nothing_is_there"])),
    ("U12", By(&["fhir_crud::an_update_makes_the_next_version_and_keeps_the_one_before"])),
    ("U13", By(&["fhir_crud::a_version_is_won_by_one_of_many_parallel_updates"])),

    ("P1", By(&["conditional::a_patch_is_an_update", "conditional::a_patch_can_be_fhirpath_in_json_and_xml_and_conditional"])),
    ("P2", By(&["conditional::a_patch_is_an_update"])),
    ("P3", By(&["conditional::a_patch_is_an_update"])),
    ("P4", By(&["conditional::a_patch_is_an_update", "conditional::the_poc_hears_of_a_patch_as_of_an_update"])),
    ("P5", By(&["conditional::a_patch_is_an_update"])),
    ("P6", By(&["conditional::a_patch_is_an_update"])),
    ("P7", By(&["path::elements_are_added_replaced_and_deleted", "path::lists_are_added_to_and_put_in_order", "path::what_does_not_fit_is_refused", "conditional::a_patch_can_be_fhirpath_in_json_and_xml_and_conditional"])),
    ("P8", By(&["tests::a_narrative_of_old_content_goes"])),
    ("P9", By(&["conditional::a_patch_can_be_fhirpath_in_json_and_xml_and_conditional"])),
    ("P10", By(&["conditional::bundles_take_conditions_patches_and_searches"])),

    ("D1", By(&["http::deletes_answer_204_or_200_as_preferred"])),
    ("D2", By(&["fhir_crud::what_does_not_exist_is_not_found_and_what_was_deleted_is_gone", "http::deletes_answer_204_or_200_as_preferred"])),
    ("D3", By(&["search::what_is_deleted_or_changed_is_found_as_it_is_now", "histories::the_history_of_a_type_holds_every_version_of_its_resources_and_no_other", "fhir_crud::the_history_of_an_instance_is_newest_first_with_the_deletes"])),
    ("D4", Not("no type refuses deletes, and references do not keep their target from being deleted: referencePolicy has no `enforced`")),
    ("D5", By(&["conditional::a_conditional_delete_deletes_one_at_most"])),
    ("D6", By(&["conditional::a_conditional_delete_deletes_one_at_most", "http::a_delete_of_a_whole_type_is_refused"])),
    ("D7", By(&["fhir_crud::if_match_admits_the_current_version_only"])),

    ("PR1", By(&["fhir_crud::prefer_decides_the_body_of_a_success", "bundles::prefer_decides_the_bodies_of_entries", "http::deletes_answer_204_or_200_as_preferred"])),
    ("PR2", By(&["fhir_crud::prefer_decides_the_body_of_a_success"])),
    ("PR3", By(&["search::what_cannot_be_searched_is_refused_or_told", "histories::parameters_are_checked_and_unknown_ones_left_out_of_the_links"])),
    ("PR4", By(&["http::what_was_applied_of_the_preferences_is_told", "preference::the_first_of_a_preference_counts"])),

    ("S1", By(&["search::a_post_finds_what_a_get_finds"])),
    ("S2", By(&["search::totals_are_told_when_asked_for_or_known_anyway"])),
    ("S3", By(&["search::what_cannot_be_searched_is_refused_or_told"])),
    ("S4", By(&["search::what_cannot_be_searched_is_refused_or_told"])),
    ("S5", By(&["search::pages_neither_lose_nor_repeat_while_others_write", "search::results_come_in_the_order_asked_for"])),
    ("S6", By(&["search::totals_are_told_when_asked_for_or_known_anyway", "search::pages_neither_lose_nor_repeat_while_others_write"])),
    ("S7", By(&["search::totals_are_told_when_asked_for_or_known_anyway"])),
    ("S8", By(&["search::results_bring_others_along_once", "search::what_cannot_be_searched_is_refused_or_told"])),
    ("S9", By(&["search::results_come_in_the_order_asked_for"])),
    ("S10", By(&["search::results_bring_others_along_once"])),
    ("S11", By(&["search::parts_of_resources_are_marked_as_parts", "search::totals_are_told_when_asked_for_or_known_anyway"])),
    ("S12", Not("contained resources are not searched on their own (MAY); _contained is refused or ignored as any unknown parameter")),
    ("S13", By(&["search::a_post_finds_what_a_get_finds", "search::totals_are_told_when_asked_for_or_known_anyway"])),
    ("S14", By(&["search::a_compartment_holds_what_belongs_to_its_resource"])),
    ("S15", By(&["search::what_is_deleted_or_changed_is_found_as_it_is_now"])),
    ("S16", By(&["histories::a_paging_link_is_of_no_use_to_anybody_else", "pages::kept_parameters_are_of_no_use_to_anybody_else_and_go_with_their_launch"])),
    ("S17", By(&["http::a_long_address_works_and_a_too_long_one_is_refused", "search::a_post_finds_what_a_get_finds", "pages::a_long_form_is_paged_by_short_links"])),

    ("V1", By(&["search::each_kind_of_value_finds_what_it_should"])),
    ("V2", By(&["search::each_kind_of_value_finds_what_it_should"])),
    ("V3", By(&["search::each_kind_of_value_finds_what_it_should"])),
    ("V4", By(&["search::each_kind_of_value_finds_what_it_should"])),
    ("V5", By(&["search::each_kind_of_value_finds_what_it_should"])),
    ("V6", By(&["search::each_kind_of_value_finds_what_it_should"])),
    ("V7", By(&["search::each_kind_of_value_finds_what_it_should"])),
    ("V8", By(&["search::each_kind_of_value_finds_what_it_should", "kinds::uris_are_exact_or_stand_in_their_hierarchy"])),
    ("V9", By(&["search::each_kind_of_value_finds_what_it_should"])),
    ("V10", By(&["search::each_kind_of_value_finds_what_it_should"])),
    ("V11", By(&["search::each_kind_of_value_finds_what_it_should", "search::what_cannot_be_searched_is_refused_or_told"])),
    ("V12", By(&["search::what_cannot_be_searched_is_refused_or_told"])),
    ("V13", By(&["search::conditions_reach_across_references"])),
    ("V14", By(&["search::conditions_reach_across_references"])),
    ("V15", By(&["search::each_kind_of_value_finds_what_it_should", "search::words_are_found_in_narratives_and_contents", "capability::every_search_parameter_that_is_claimed_works"])),
    ("V16", By(&["search::what_cannot_be_searched_is_refused_or_told"])),
    ("V17", By(&["capability::every_search_parameter_that_is_claimed_works", "capability::a_search_parameter_that_is_not_claimed_is_refused"])),

    ("HI1", By(&["histories::the_history_of_a_type_holds_every_version_of_its_resources_and_no_other", "fhir_crud::the_history_of_an_instance_is_newest_first_with_the_deletes"])),
    ("HI2", By(&["histories::the_history_of_a_type_holds_every_version_of_its_resources_and_no_other", "conditional::a_patch_is_an_update"])),
    ("HI3", By(&["histories::the_history_of_a_type_holds_every_version_of_its_resources_and_no_other"])),
    ("HI4", By(&["histories::since_and_at_choose_versions_by_their_time", "polling::who_asks_since_the_last_version_told_misses_none_that_was_staged_before_it", "histories::a_list_narrows_a_history_to_what_it_names", "histories::parameters_are_checked_and_unknown_ones_left_out_of_the_links"])),
    ("HI5", By(&["fhir_crud::what_does_not_exist_is_not_found_and_what_was_deleted_is_gone", "fhir_crud::the_history_of_an_instance_is_newest_first_with_the_deletes"])),
    ("HI6", By(&["histories::pages_forward_and_backward_show_every_version_once", "histories::what_is_written_meanwhile_moves_no_page"])),
    ("HI7", By(&["histories::conditional_interactions_appear_as_plain_ones"])),
    ("HI8", By(&["histories::pages_forward_and_backward_show_every_version_once"])),

    ("B1", By(&["bundles::a_transaction_that_fails_leaves_no_trace"])),
    ("B2", By(&["bundles::a_transaction_answers_each_entry_in_its_place"])),
    ("B3", By(&["bundles::a_batch_answers_each_entry_alone"])),
    ("B4", By(&["bundles::a_batch_entry_that_refers_to_another_is_refused"])),
    ("B5", By(&["bundles::a_transaction_that_fails_leaves_no_trace"])),
    ("B6", By(&["bundles::the_result_does_not_depend_on_the_order_of_entries", "conditional::a_transactions_order_does_not_depend_on_its_entries"])),
    ("B7", By(&["bundles::one_identity_twice_is_refused", "conditional::bundles_take_conditions_patches_and_searches"])),
    ("B8", By(&["reference::references_are_rewritten_where_r4_says_so_and_not_in_canonicals", "set_context::references_by_oid_by_absolute_url_and_in_narrative_are_rewritten_but_canonicals_are_not"])),
    ("B9", By(&["bundles::a_conditional_reference_is_resolved_or_fails_the_whole", "conditional_references::what_matches_a_conditional_reference_is_what_is_stored_after_its_transaction"])),
    ("B10", By(&["bundles::if_none_exist_in_a_transaction_finds_and_its_references_follow", "bundles::a_transaction_that_fails_leaves_no_trace", "conditional::a_bundles_reads_are_conditional_too"])),
    ("B11", By(&["bundles::empty_bundles_are_fine_and_other_types_are_not"])),
    ("B12", By(&["bundles::a_transaction_answers_each_entry_in_its_place", "conditional::bundles_take_conditions_patches_and_searches"])),
    ("B13", By(&["bundles::empty_bundles_are_fine_and_other_types_are_not"])),
    ("B14", By(&["conditional::bundles_take_conditions_patches_and_searches"])),
    ("B15", By(&["bundles::the_result_does_not_depend_on_the_order_of_entries"])),
    ("B16", By(&["fhir_crud::limits_have_their_own_answers"])),

    ("A1", NO_ASYNC),
    ("A2", NO_ASYNC),
    ("A3", NO_ASYNC),
    ("A4", NO_ASYNC),
    ("A5", NO_ASYNC),
    ("A6", NO_ASYNC),
    ("A7", NO_ASYNC),
    ("A8", NO_ASYNC),
    ("A9", By(&["http::what_was_applied_of_the_preferences_is_told"])),
];

/// Every test of the sources, as `file::test`.
fn tests() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "tests/it"] {
        collect(&root.join(folder), &mut files);
    }
    let mut found = BTreeSet::new();
    for file in files {
        let name = match file.file_stem().unwrap().to_str().unwrap() {
            "mod" => file.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned(),
            stem => stem.to_owned(),
        };
        let text = std::fs::read_to_string(&file).unwrap();
        let mut is_test = false;
        for line in text.lines().map(str::trim_start) {
            if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                is_test = true;
            } else if let Some((_, rest)) = line.split_once("fn ")
                && is_test
            {
                found.insert(format!("{name}::{}", rest.split(['(', '<']).next().unwrap_or_default()));
                is_test = false;
            }
        }
    }
    found
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            collect(&entry, files);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            files.push(entry);
        }
    }
}

#[test]
fn every_row_is_kept_by_tests_or_left_out_for_a_reason() {
    let ids = LETTERS.iter().flat_map(|(letter, count)| (1..=*count).map(move |number| format!("{letter}{number}")));
    let mut missing: BTreeSet<String> = ids.collect();
    let tests = tests();
    let mut wrong = Vec::new();
    for (id, row) in ROWS {
        if !missing.remove(*id) {
            wrong.push(format!("{id} stands twice or is no row"));
        }
        match row {
            By(names) => {
                wrong.extend(names.is_empty().then(|| format!("{id}: no test")));
                let unknown = names.iter().filter(|name| !tests.contains(**name));
                wrong.extend(unknown.map(|name| format!("{id}: there is no test {name}")));
            }
            Not(reason) => assert!(reason.len() > 20, "{id}: {reason}"),
        }
    }
    wrong.extend(missing.into_iter().map(|id| format!("{id} is missing")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
