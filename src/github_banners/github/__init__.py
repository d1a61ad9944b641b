"""
Client of GitHub's API: fetches an owner with all public repositories.

Pure modules, in reading order: `protocol` (classifies responses), `rest` and `graphql` (build queries, parse
responses), `credentials` (choose the token for a request, and pace background requests). `transport` opens
the HTTP client; `sender` is the only module that sends requests. `client` fetches one owner, `batch` many,
and `token_owners` finds out which tokens belong to one account.
"""
