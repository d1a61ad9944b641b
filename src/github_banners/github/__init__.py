"""
Client of GitHub's API: fetches an owner with all public repositories, and what only some banners show.

Pure modules, in reading order: `protocol` (classifies responses), `rest` and `graphql` (build queries, parse
responses), `credentials` (choose the token for a request, and pace background requests). `transport` opens
the HTTP client; `sender` is the only module that sends requests. `client` fetches one owner, `batch` many,
and `token_owners` finds out which tokens belong to one account.

`data_fetcher` fetches the rest: contributions with `contribution_history`, sizes of languages, single
repositories. Its pure modules are `owner_query` (queries about one owner), `contributions`,
`language_sizes` and `repository_details`.
"""
