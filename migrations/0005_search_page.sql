-- What paging links are about, where it is too long for a link: the link names a row here. Nothing used the table yet, so
-- it is made anew.

drop table search_page;
create table search_page (
  -- SHA-256 of for whom and of what, so that a search that is repeated makes no second row.
  digest bytea primary key,
  -- What was asked, sealed for the same caller and listing.
  sealed bytea not null,
  -- The launch of the caller: its queries go with its data.
  context uuid,
  -- When it was asked, or a link of it last followed.
  used_at timestamptz not null
);
-- Sweeping out what nobody follows any more.
create index search_page_used on search_page (used_at);
-- A clear removes those of its launch.
create index search_page_context on search_page (context) where context is not null;
