//! Queries of Resource Graph: scope, rows, columns, and pages.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::estate::{EndpointEstate, EndpointVersion};
use super::faults::AzureFaults;

/// Body of a query.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GraphQuery {
    pub query: String,
    #[serde(default)]
    subscriptions: Option<Vec<String>>,
    #[serde(default)]
    management_groups: Option<Vec<String>>,
    #[serde(default)]
    options: GraphOptions,
}

#[derive(Debug, Default, Deserialize)]
struct GraphOptions {
    #[serde(rename = "$top")]
    top: Option<usize>,
    #[serde(rename = "$skipToken")]
    skip_token: Option<String>,
}

/// Makes a row, once it is known that the row is on the page.
type GraphRow<'e> = Box<dyn Fn() -> Value + 'e>;

/// Why a query is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum QueryRefusal {
    /// 400, with a message.
    Bad(String),
    /// 403, because the query names a subscription that may not be read.
    Forbidden(String),
}

impl GraphQuery {
    /// Returns the first row of the page, and its number from 1.
    pub fn start(&self, page: usize) -> Result<(usize, usize), QueryRefusal> {
        let Some(token) = &self.options.skip_token else { return Ok((0, 1)) };
        let start = token.strip_prefix("skip-").and_then(|start| start.parse::<usize>().ok());
        let start = start.ok_or_else(|| QueryRefusal::Bad("the skip token is not valid".into()))?;
        Ok((start, start / self.page(page) + 1))
    }

    /// Returns the number of rows in a page.
    fn page(&self, most: usize) -> usize {
        self.options.top.unwrap_or(100).clamp(1, most.max(1))
    }

    /// Returns the subscriptions that the query covers.
    fn scope(&self, estate: &EndpointEstate, faults: &AzureFaults) -> Result<Vec<String>, QueryRefusal> {
        let is_forbidden = |id: &String| faults.forbidden.contains(id);
        let mut scope: Vec<String> = match (&self.subscriptions, &self.management_groups) {
            (Some(subscriptions), _) if !subscriptions.is_empty() => subscriptions.clone(),
            (_, Some(groups)) if !groups.is_empty() => {
                groups.iter().flat_map(|group| estate.management_groups.get(group).cloned().unwrap_or_default()).collect()
            }
            _ => estate.subscriptions.iter().map(|subscription| subscription.id.clone()).collect(),
        };
        let is_named = self.subscriptions.as_ref().is_some_and(|named| !named.is_empty());
        if let Some(id) = scope.iter().find(|id| is_forbidden(id)).filter(|_| is_named && !faults.forbidden_silently) {
            return Err(QueryRefusal::Forbidden(id.clone()));
        }
        scope.retain(|id| !is_forbidden(id));
        Ok(scope)
    }

    /// Returns a page of the answer. `loses_pages` leaves out all pages behind it.
    pub fn answer(
        &self,
        estate: &EndpointEstate,
        endpoints: &EndpointVersion,
        faults: &AzureFaults,
        most: usize,
        loses_pages: bool,
    ) -> Result<Value, QueryRefusal> {
        let scope = self.scope(estate, faults)?;
        let query = self.query.to_ascii_lowercase();
        let covers = |id: &String| scope.iter().any(|covered| covered.eq_ignore_ascii_case(id));
        let visible = || endpoints.iter().filter(|endpoint| covers(&endpoint.subscription));
        let mut rows: Vec<GraphRow<'_>> = Vec::new();
        let mut is_known = false;
        if query.contains("microsoft.network/networkinterfaces") {
            is_known = true;
            rows.extend(visible().map(|endpoint| Box::new(|| endpoint.interface_row()) as GraphRow<'_>));
        }
        if query.contains("microsoft.network/privateendpoints") {
            is_known = true;
            rows.extend(visible().map(|endpoint| Box::new(|| endpoint.endpoint_row()) as GraphRow<'_>));
        }
        if query.contains("microsoft.resources/subscriptions") {
            is_known = true;
            let visible = estate.subscriptions.iter().filter(|subscription| covers(&subscription.id));
            rows.extend(visible.map(|subscription| Box::new(|| subscription.row()) as GraphRow<'_>));
        }
        if !is_known {
            let known = "microsoft.network/privateendpoints, microsoft.network/networkinterfaces, microsoft.resources/subscriptions";
            return Err(QueryRefusal::Bad(format!("the query names no type that the simulator has: {known}")));
        }
        let (total, columns) = (rows.len(), columns(&self.query));
        let (start, _) = self.start(most)?;
        let end = total.min(start.saturating_add(self.page(most)));
        let data: Vec<Value> = rows.get(start..end).unwrap_or_default().iter().map(|row| project(row(), &columns)).collect();
        let mut answer = json!({
            "totalRecords": total, "count": data.len(), "data": data, "facets": [],
            "resultTruncated": if loses_pages && end < total { "true" } else { "false" },
        });
        if end < total && !loses_pages {
            answer["$skipToken"] = format!("skip-{end}").into();
        }
        Ok(answer)
    }
}

/// Returns the columns of the last `project`, each with the path that it is read from. Empty if the query has none.
fn columns(query: &str) -> Vec<(String, String)> {
    let steps = query.split('|').map(str::trim);
    let Some(project) = steps.filter_map(|step| step.strip_prefix("project ")).next_back() else { return Vec::new() };
    let column = |item: &str| {
        let (name, path) = item.split_once('=').unwrap_or((item, item));
        let path = path.trim();
        // `tostring(…)` and `tolower(…)` do not change what a tool needs of the column.
        let path = path.split_once('(').map_or(path, |(_, inside)| inside.trim_end_matches(')'));
        (name.trim().to_owned(), path.to_owned())
    };
    project.split(',').map(column).collect()
}

fn project(row: Value, columns: &[(String, String)]) -> Value {
    if columns.is_empty() {
        return row;
    }
    let at = |path: &str| path.split('.').fold(&row, |value, key| &value[key]).clone();
    Value::Object(columns.iter().map(|(name, path)| (name.clone(), at(path))).collect::<Map<_, _>>())
}
