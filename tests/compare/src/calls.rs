//! The calls of an event: recorded once from the measured function, so that the others make exactly the same.
//!
//! Owns: how two calls are known to be the same, which ones the function made at once, and their form for the others'
//! SDKs. Not here: taking and giving them over the network (`stub`).

use std::collections::HashMap;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

/// A call and its answer.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The service that it was signed for.
    pub service: String,
    /// Method, and path with query.
    pub target: String,
    /// The body that was sent.
    pub body: String,
    /// The answer's status.
    pub status: u16,
    /// The answer's content type.
    pub content_type: String,
    /// The answer's body.
    pub answer: String,
    /// When it arrived, since the event was handed over.
    pub arrived: Duration,
}

/// All calls of an event.
#[derive(Debug, Clone, Default)]
pub struct Recording(pub Vec<Exchange>);

/// Returns the parameters of a form, decoded and in the order of their names.
fn parameters(form: &str) -> Vec<(String, String)> {
    let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let pairs = form.split('&').filter_map(|pair| pair.split_once('='));
    let mut pairs: Vec<_> = pairs.map(|(name, value)| (decoded(name), decoded(value))).collect();
    pairs.sort();
    pairs
}

/// Returns a call's name for comparison: two clients may write the same call in different ways.
pub fn key(target: &str, body: &str) -> String {
    let parameters = parameters(body).into_iter().map(|(name, value)| format!("{name}={value}"));
    std::iter::once(target.to_owned()).chain(parameters).collect::<Vec<_>>().join("\n")
}

/// Returns a call's action, such as `GetRole`, or its method and address where the service has no actions.
pub fn action(target: &str, body: &str) -> String {
    let action = parameters(body).into_iter().find(|(name, _)| name == "Action");
    action.map_or_else(|| target.to_owned(), |(_, action)| action)
}

impl Recording {
    /// Returns the calls as the others get them: by stages, whose calls the function made at once.
    ///
    /// Recorded with a delay for each call; what arrived before the first of a stage can have been answered is of that
    /// stage.
    pub fn plan(&self, delay: Duration) -> Value {
        let mut stages: Vec<(Duration, Vec<Value>)> = Vec::new();
        let mut exchanges: Vec<_> = self.0.iter().collect();
        exchanges.sort_by_key(|exchange| exchange.arrived);
        for exchange in exchanges {
            let call = exchange.as_call();
            match stages.last_mut() {
                Some((began, stage)) if exchange.arrived < *began + delay => stage.push(call),
                _ => stages.push((exchange.arrived, vec![call])),
            }
        }
        stages.into_iter().map(|(_, stage)| Value::Array(stage)).collect()
    }

    /// Returns the answers by the calls' names, in the order in which they were given.
    pub fn answers(&self) -> HashMap<String, Vec<Exchange>> {
        let mut answers: HashMap<_, Vec<_>> = HashMap::new();
        for exchange in &self.0 {
            answers.entry(key(&exchange.target, &exchange.body)).or_default().push(exchange.clone());
        }
        answers
    }
}

impl Exchange {
    fn as_call(&self) -> Value {
        json!({
            "service": self.service,
            "action": action(&self.target, &self.body),
            "input": input(&self.body),
            "body": self.body,
            "fails": self.status >= 400,
        })
    }
}

/// Returns a form as the input of an SDK's operation: `Tags.member.1.Key=a` is the key of the first tag.
fn input(form: &str) -> Value {
    let mut input = Value::Object(Map::new());
    for (name, value) in parameters(form) {
        if name == "Action" || name == "Version" {
            continue;
        }
        let mut place = &mut input;
        for part in name.split('.').filter(|part| *part != "member") {
            place = match part.parse::<usize>() {
                Ok(number) => element(place, number),
                Err(_) => field(place, part),
            };
        }
        *place = match value.as_str() {
            "true" => json!(true),
            "false" => json!(false),
            number => number.parse::<u32>().map_or_else(|_| json!(value), |number| json!(number)),
        };
    }
    input
}

fn field<'a>(place: &'a mut Value, name: &str) -> &'a mut Value {
    if place.is_null() {
        *place = json!({});
    }
    &mut place[name]
}

/// Elements are counted from 1 on.
fn element(place: &mut Value, number: usize) -> &mut Value {
    if !place.is_array() {
        *place = json!([]);
    }
    let length = place.as_array().map_or(0, Vec::len);
    if let Some(elements) = place.as_array_mut() {
        elements.resize(length.max(number), Value::Null);
    }
    &mut place[number.saturating_sub(1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(body: &str, milliseconds: u64) -> Exchange {
        Exchange {
            service: "iam".into(),
            target: "POST /".into(),
            body: body.into(),
            status: 200,
            content_type: "text/xml".into(),
            answer: String::new(),
            arrived: Duration::from_millis(milliseconds),
        }
    }

    #[test]
    fn a_form_becomes_the_input_of_an_sdk() {
        let form = "Action=CreateRole&Version=2010-05-08&MaxSessionDuration=3600&Tags.member.1.Key=a%3Ab&Tags.member.1.Value=c+d&Tags.member.2.Key=e&Flag=true";
        let expected = json!({
            "MaxSessionDuration": 3600,
            "Tags": [{"Key": "a:b", "Value": "c d"}, {"Key": "e"}],
            "Flag": true,
        });
        assert_eq!(input(form), expected);
        assert_eq!(action("POST /", form), "CreateRole");
    }

    #[test]
    fn a_call_is_the_same_in_another_order_and_with_other_escapes() {
        assert_eq!(key("POST /", "a=1&b=x%20y"), key("POST /", "b=x+y&a=1"));
        assert_ne!(key("POST /", "a=1"), key("POST /", "a=2"));
    }

    #[test]
    fn calls_before_the_first_answer_are_one_stage() {
        let calls = [("Action=A", 5), ("Action=B", 9), ("Action=C", 110), ("Action=D", 212), ("Action=E", 311)];
        let recording = Recording(calls.map(|(body, time)| exchange(body, time)).to_vec());
        let plan = recording.plan(Duration::from_millis(100));
        let stages: Vec<Vec<_>> = plan
            .as_array()
            .into_iter()
            .flatten()
            .map(|stage| stage.as_array().into_iter().flatten().filter_map(|call| call["action"].as_str()).collect())
            .collect();
        assert_eq!(stages, [vec!["A", "B"], vec!["C"], vec!["D", "E"]]);
    }
}
