-- What lets Postgres find the plans that searches are meant to have.

-- What a reference leads to is found by resource (tenant, type, id). Postgres uses an index only where both sides of a
-- comparison have its collation; with another one, an _include read every resource of a tenant.
alter table search_reference
  alter column target_type type text collate "default",
  alter column target_id type text collate "default";

-- Which values there are depends on the parameter. Taken for independent, thousands of matches look like one, and all of
-- them are fetched and sorted for a page of ten.
create statistics search_string_values (dependencies, mcv) on parameter, folded, exact from search_string;
create statistics search_quantity_units (dependencies, mcv) on parameter, system, code from search_quantity;
create statistics search_reference_targets (dependencies) on parameter, target_type, target_id from search_reference;
analyze search_string, search_quantity, search_reference;

-- What lies between two dates is found by where it begins, unless it lasts for more than 32 days: that is found by its end.
-- Halved, for an open end is as far away as can be.
create index search_time_long on search_time (tenant, parameter, high, key)
  where high / 2 - low / 2 > 1382400000000;
create statistics search_time_lasts on (high / 2 - low / 2) from search_time;
analyze search_time;
