//! Sequences of calls: short ones that each probe a rule, and random ones from a seed.

use cavatica_access::names::{PolicyArn, RoleArn, RoleName};
use cavatica_access::owner::Tags;
use cavatica_access::port::{Bucket, Change, Look, NewPolicy, NewRole, PolicyEntity, Question, Usage};
use cavatica_access::volume::BucketName;
use cavatica_memory::foreign_cors_rule;
use fastrand::Rng;

use crate::Error;

/// One call, or one deed of somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A change.
    Change(Change),
    /// A read.
    Read(Look),
    /// Something that the port cannot do.
    Hand(Hand),
}

/// Manual change, which is made only to existing resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hand {
    /// Puts an inline policy on a role.
    PutInline(RoleName),
    /// Makes an instance profile that holds a role.
    Profile(RoleName),
    /// Makes a bucket.
    MakeBucket(BucketName),
    /// Attaches a policy to a user, who is made for it.
    AttachUser(PolicyArn),
    /// Attaches a policy to a group, which is made for it.
    AttachGroup(PolicyArn),
}

/// A sequence with the name of the rule it probes, or of its seed.
#[derive(Debug, Clone)]
pub struct Sequence {
    /// Its name.
    pub name: String,
    /// Its steps.
    pub steps: Vec<Step>,
}

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::151136852077:root"},"Action":"sts:AssumeRole"}]}"#;
const OTHER_TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
const DOCUMENT: &str = r#"{"Version":"2012-10-17","Statement":[{"Sid":"One","Effect":"Allow","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::b/*"]}]}"#;
const OTHER_DOCUMENT: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::b"}]}"#;

/// Documents that IAM refuses as permissions, and why.
const MALFORMED: [(&str, &str); 6] = [
    ("no JSON", "{"),
    ("no statement", r#"{"Version":"2012-10-17","Statement":[]}"#),
    ("no resource", r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject"}]}"#),
    (
        "a principal",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*"}]}"#,
    ),
    (
        "a Sid twice",
        r#"{"Version":"2012-10-17","Statement":[{"Sid":"A","Effect":"Allow","Action":"s3:GetObject","Resource":"*"},{"Sid":"A","Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}"#,
    ),
    (
        "an unknown version",
        r#"{"Version":"2020-01-01","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}"#,
    ),
];

/// The boundary that is there from the beginning.
pub const CAP: &str = "arn:aws:iam::123456789012:policy/cap";

/// Sequences about a bucket, and about what a role may do.
pub fn about_buckets() -> Result<Vec<Sequence>, Error> {
    let bucket = |owner: &str| {
        let (name, owner, region) = ("lab-data".parse()?, owner.parse()?, "us-east-1".parse()?);
        Ok::<_, Error>(Bucket { name, owner, region })
    };
    let (ours, theirs) = (bucket("123456789012")?, bucket("210987654321")?);
    let make = || Step::Hand(Hand::MakeBucket(ours.name.clone()));
    let region = |of: &Bucket| Step::Read(Look::BucketRegion(of.name.clone(), of.owner.clone()));
    let cors = |of: &Bucket| Step::Read(Look::Cors(of.clone()));
    let key = |of: &Bucket| Step::Read(Look::BucketKey(of.clone()));
    let put = |of: &Bucket, ids: &[&str]| {
        let rules = ids.iter().map(|id| foreign_cors_rule(id)).collect();
        Step::Change(Change::PutCors { bucket: Box::new(of.clone()), rules })
    };
    // On an object that the policy is about, and on one that it is not about.
    let resources = ["arn:aws:s3:::b/object", "arn:aws:s3:::other/object"].map(str::to_owned).to_vec();
    let question = Question { actions: vec!["s3:GetObject"], resources, context: Vec::new() };
    let role: RoleArn = "arn:aws:iam::123456789012:role/r".parse()?;
    let of_role = || Ok::<_, Error>(Step::Read(Look::Simulation(role.clone(), question.clone())));
    let set = |ids: &[&str]| [put(&ours, ids), cors(&ours)];
    let changes = [set(&["one", "two"]), set(&["two"]), set(&[]), set(&[])].concat();
    let asked = |of: &Bucket| vec![region(of), key(of), cors(of), put(of, &["one"]), put(of, &[])];
    let named = |name: &str, steps| Sequence { name: name.to_owned(), steps };
    Ok(vec![
        named(
            "CORS rules come, change and go",
            [vec![make(), region(&ours), key(&ours), cors(&ours)], changes].concat(),
        ),
        named("a bucket that is not there", asked(&ours)),
        named("a bucket of another owner", [vec![make()], asked(&theirs)].concat()),
        named(
            "what a role may do",
            vec![
                of_role()?,
                Step::Change(create_role("r")?),
                of_role()?,
                Step::Change(create_policy("p", DOCUMENT)?),
                Step::Change(attach("r", "p")?),
                of_role()?,
            ],
        ),
    ])
}

/// Returns the policy that is there from the beginning.
pub fn cap() -> Result<Change, Error> {
    create_policy("cap", DOCUMENT)
}

fn role(name: &str) -> Result<RoleName, Error> {
    Ok(name.parse()?)
}

/// Returns the ARN of a policy by its path and name: `p`, or `labs/p`.
fn policy(name: &str) -> Result<PolicyArn, Error> {
    Ok(format!("arn:aws:iam::123456789012:policy/{name}").parse()?)
}

fn tags(pairs: &[(&str, &str)]) -> Tags {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn new_role(name: &str) -> Result<NewRole, Error> {
    Ok(NewRole {
        arn: format!("arn:aws:iam::123456789012:role/{name}").parse()?,
        trust: TRUST.to_owned(),
        description: "described".to_owned(),
        max_session_duration: 3_600,
        boundary: None,
        tags: tags(&[("team", "genomics")]),
    })
}

fn create_role(name: &str) -> Result<Change, Error> {
    Ok(Change::CreateRole(Box::new(new_role(name)?)))
}

fn create_policy(name: &str, document: &str) -> Result<Change, Error> {
    let arn = policy(name)?;
    let path = name.rsplit_once('/').map_or_else(|| "/".to_owned(), |(path, _)| format!("/{path}/"));
    Ok(Change::CreatePolicy(Box::new(NewPolicy {
        arn,
        path: path.parse()?,
        document: document.to_owned(),
        description: "a policy".to_owned(),
        tags: tags(&[("team", "genomics")]),
    })))
}

fn version(name: &str, document: &str) -> Result<Change, Error> {
    Ok(Change::CreatePolicyVersion { arn: policy(name)?, document: document.to_owned() })
}

fn attach(of: &str, name: &str) -> Result<Change, Error> {
    Ok(Change::Attach { role: role(of)?, arn: policy(name)? })
}

fn detach(of: &str, name: &str) -> Result<Change, Error> {
    Ok(Change::Detach { from: PolicyEntity::Role(of.to_owned()), arn: policy(name)? })
}

fn delete_policy(name: &str) -> Result<Change, Error> {
    Ok(Change::DeletePolicy { arn: policy(name)? })
}

fn delete_role(name: &str) -> Result<Change, Error> {
    Ok(Change::DeleteRole { role: role(name)? })
}

/// Returns every read of a role and a policy.
fn reads(of: &str, name: &str) -> Result<Vec<Step>, Error> {
    let (role, arn) = (role(of)?, policy(name)?);
    let reads = [
        Look::Role(role.clone()),
        Look::Attached(role.clone()),
        Look::Inline(role.clone()),
        Look::Profiles(role),
        Look::Policy(arn.clone()),
        Look::Versions(arn.clone()),
        Look::Document(arn.clone(), "v1".to_owned()),
        Look::PolicyEntities(arn.clone(), Usage::Permissions),
        Look::PolicyEntities(arn, Usage::Boundary),
    ];
    Ok(reads.into_iter().map(Step::Read).collect())
}

/// Returns the sequences that probe a rule each, every one with all reads at its end.
pub fn by_rule() -> Result<Vec<Sequence>, Error> {
    let both = || Ok::<_, Error>(vec![create_role("r")?, create_policy("p", DOCUMENT)?, attach("r", "p")?]);
    let after_both = |more: Vec<Change>| Ok::<_, Error>([both()?, more].concat());
    let with = |change: &dyn Fn(&mut NewRole)| {
        let mut new = new_role("r")?;
        change(&mut new);
        Ok::<_, Error>(vec![Change::CreateRole(Box::new(new))])
    };
    let many_tags = |count: usize| (0..count).map(|i| (format!("key-{i}"), String::new())).collect::<Tags>();
    let tag_role = |tags: Tags| Ok::<_, Error>(Change::TagRole { role: role("r")?, tags });
    let tag_policy = |tags: Tags| Ok::<_, Error>(Change::TagPolicy { arn: policy("p")?, tags });
    let versions = |count: usize| (0..count).map(|_| version("p", OTHER_DOCUMENT)).collect::<Result<Vec<_>, _>>();
    let big = |characters: usize| DOCUMENT.replace("b/*", &format!("b/{}", "x".repeat(characters)));

    let mut rules: Vec<(&str, Vec<Change>)> = vec![
        ("nothing there", vec![]),
        ("create, attach", both()?),
        ("a role twice", vec![create_role("r")?, create_role("r")?]),
        ("a role in other letters", vec![create_role("r")?, create_role("R")?]),
        ("a role under another path", vec![create_role("r")?, create_role("labs/r")?]),
        ("a policy twice", vec![create_policy("p", DOCUMENT)?, create_policy("p", DOCUMENT)?]),
        ("a policy in other letters", vec![create_policy("p", DOCUMENT)?, create_policy("P", DOCUMENT)?]),
        ("a policy under another path", vec![create_policy("p", DOCUMENT)?, create_policy("labs/p", DOCUMENT)?]),
        ("attach twice", after_both(vec![attach("r", "p")?])?),
        ("attach what is not there", vec![create_role("r")?, attach("r", "p")?]),
        ("attach to what is not there", vec![create_policy("p", DOCUMENT)?, attach("r", "p")?]),
        ("detach twice", after_both(vec![detach("r", "p")?, detach("r", "p")?])?),
        ("detach what is not there", vec![create_role("r")?, detach("r", "p")?]),
        ("delete a policy that is attached", after_both(vec![delete_policy("p")?])?),
        ("delete a role with a policy", after_both(vec![delete_role("r")?])?),
        ("the whole life", after_both(vec![detach("r", "p")?, delete_policy("p")?, delete_role("r")?])?),
        ("delete what is not there", vec![delete_role("r")?, delete_policy("p")?]),
        ("five versions", after_both(versions(4)?)?),
        ("a sixth version", after_both(versions(5)?)?),
        (
            "delete a policy with versions",
            [vec![create_policy("p", DOCUMENT)?], versions(1)?, vec![delete_policy("p")?]].concat(),
        ),
        (
            "delete the version in force",
            after_both(vec![Change::DeletePolicyVersion { arn: policy("p")?, version: "v1".to_owned() }])?,
        ),
        (
            "delete an older version",
            [both()?, versions(2)?, vec![Change::DeletePolicyVersion { arn: policy("p")?, version: "v1".to_owned() }]]
                .concat(),
        ),
        (
            "delete a version that is not there",
            after_both(vec![Change::DeletePolicyVersion { arn: policy("p")?, version: "v9".to_owned() }])?,
        ),
        (
            "a version's number is not used again",
            [
                both()?,
                versions(1)?,
                vec![Change::DeletePolicyVersion { arn: policy("p")?, version: "v1".to_owned() }],
                versions(1)?,
            ]
            .concat(),
        ),
        ("a boundary", with(&|new| new.boundary = CAP.parse().ok())?),
        ("a boundary that is not there", with(&|new| new.boundary = policy("nowhere").ok())?),
        ("a boundary later", vec![create_role("r")?, Change::PutBoundary { role: role("r")?, boundary: CAP.parse()? }]),
        (
            "a boundary later that is not there",
            vec![create_role("r")?, Change::PutBoundary { role: role("r")?, boundary: policy("nowhere")? }],
        ),
        (
            "delete a policy that caps",
            [with(&|new| new.boundary = CAP.parse().ok())?, vec![Change::DeletePolicy { arn: CAP.parse()? }]].concat(),
        ),
        ("fifty tags", with(&|new| new.tags = many_tags(50))?),
        ("too many tags", with(&|new| new.tags = many_tags(51))?),
        (
            "too many tags later",
            [with(&|new| new.tags = many_tags(50))?, vec![tag_role(tags(&[("one-more", "")]))?]].concat(),
        ),
        (
            "a tag in other letters",
            after_both(vec![tag_role(tags(&[("Team", "other")]))?, tag_policy(tags(&[("Team", "other")]))?])?,
        ),
        (
            "a tag again",
            after_both(vec![tag_role(tags(&[("team", "other")]))?, tag_policy(tags(&[("team", "other")]))?])?,
        ),
        ("an empty value", after_both(vec![tag_role(tags(&[("empty", "")]))?, tag_policy(tags(&[("empty", "")]))?])?),
        ("a tag of AWS", after_both(vec![tag_role(tags(&[("aws:x", "1")]))?])?),
        ("a tag key that is too long", after_both(vec![tag_role(tags(&[("k".repeat(129).as_str(), "1")]))?])?),
        ("a tag value that is too long", after_both(vec![tag_role(tags(&[("k", "v".repeat(257).as_str())]))?])?),
        ("a comma in a tag", after_both(vec![tag_role(tags(&[("k", "a,b")]))?])?),
        (
            "untag",
            after_both(vec![
                Change::UntagRole { role: role("r")?, keys: vec!["team".to_owned()] },
                Change::UntagPolicy { arn: policy("p")?, keys: vec!["team".to_owned()] },
            ])?,
        ),
        (
            "untag in other letters",
            after_both(vec![Change::UntagRole { role: role("r")?, keys: vec!["TEAM".to_owned()] }])?,
        ),
        (
            "untag what is not there",
            after_both(vec![Change::UntagRole { role: role("r")?, keys: vec!["other".to_owned()] }])?,
        ),
        ("a description that is too long", with(&|new| new.description = "d".repeat(1_001))?),
        ("no description", with(&|new| new.description = String::new())?),
        (
            "another description",
            vec![
                create_role("r")?,
                Change::UpdateRole { role: role("r")?, description: "other".to_owned(), max_session_duration: 7_200 },
            ],
        ),
        (
            "a description taken away",
            vec![
                create_role("r")?,
                Change::UpdateRole { role: role("r")?, description: String::new(), max_session_duration: 3_600 },
            ],
        ),
        ("a session that is too short", with(&|new| new.max_session_duration = 3_599)?),
        ("a session that is too long", with(&|new| new.max_session_duration = 43_201)?),
        (
            "another trust",
            vec![create_role("r")?, Change::UpdateTrust { role: role("r")?, trust: OTHER_TRUST.to_owned() }],
        ),
        (
            "a trust with a resource",
            vec![create_role("r")?, Change::UpdateTrust { role: role("r")?, trust: DOCUMENT.to_owned() }],
        ),
        (
            "a trust that is no JSON",
            vec![create_role("r")?, Change::UpdateTrust { role: role("r")?, trust: "{".to_owned() }],
        ),
        (
            "a trust that is too long",
            vec![
                create_role("r")?,
                Change::UpdateTrust {
                    role: role("r")?,
                    trust: TRUST.replace("root", &format!("role/{}", "x".repeat(2_048))),
                },
            ],
        ),
        ("a policy that is too long", vec![create_policy("p", &big(6_144))?]),
        ("a policy that just fits", vec![create_policy("p", &big(6_144 - DOCUMENT.len() + 1))?]),
        (
            "white space does not count",
            vec![create_policy("p", &DOCUMENT.replace(',', &format!(",{}", " ".repeat(1_000))))?],
        ),
        (
            "change what is not there",
            vec![
                tag_role(tags(&[("k", "v")]))?,
                tag_policy(tags(&[("k", "v")]))?,
                Change::UntagRole { role: role("r")?, keys: vec!["k".to_owned()] },
                Change::UntagPolicy { arn: policy("p")?, keys: vec!["k".to_owned()] },
                Change::UpdateRole { role: role("r")?, description: "d".to_owned(), max_session_duration: 3_600 },
                Change::UpdateTrust { role: role("r")?, trust: TRUST.to_owned() },
                Change::PutBoundary { role: role("r")?, boundary: CAP.parse()? },
                version("p", DOCUMENT)?,
                Change::DeletePolicyVersion { arn: policy("p")?, version: "v1".to_owned() },
                Change::DeleteInlinePolicy { role: role("r")?, name: "i".to_owned() },
            ],
        ),
    ];
    for (what, document) in MALFORMED {
        rules.push((what, vec![create_policy("p", document)?]));
        rules.push((what, after_both(vec![version("p", document)?])?));
    }
    let mut sequences = Vec::new();
    for (name, changes) in rules {
        let mut steps: Vec<_> = changes.into_iter().map(Step::Change).collect();
        steps.extend(reads("r", "p")?);
        sequences.push(Sequence { name: name.to_owned(), steps });
    }
    sequences.extend(with_hands(&both()?)?);
    Ok(sequences)
}

/// Rules about what others did.
fn with_hands(both: &[Change]) -> Result<Vec<Sequence>, Error> {
    let (r, p) = (role("r")?, policy("p")?);
    let user = Change::Detach { from: PolicyEntity::User("u".to_owned()), arn: p.clone() };
    let group = Change::Detach { from: PolicyEntity::Group("g".to_owned()), arn: p.clone() };
    let inline = Change::DeleteInlinePolicy { role: r.clone(), name: "inline".to_owned() };
    let rules: [(&str, Vec<Hand>, Vec<Change>); 6] = [
        (
            "an inline policy holds a role",
            vec![Hand::PutInline(r.clone())],
            vec![detach("r", "p")?, delete_role("r")?, inline.clone(), inline, delete_role("r")?],
        ),
        ("an instance profile holds a role", vec![Hand::Profile(r)], vec![detach("r", "p")?, delete_role("r")?]),
        (
            "a user holds a policy",
            vec![Hand::AttachUser(p.clone())],
            vec![detach("r", "p")?, delete_policy("p")?, user.clone(), user, delete_policy("p")?],
        ),
        (
            "a group holds a policy",
            vec![Hand::AttachGroup(p.clone())],
            vec![detach("r", "p")?, delete_policy("p")?, group.clone(), group, delete_policy("p")?],
        ),
        ("everybody carries a policy", vec![Hand::AttachUser(p.clone()), Hand::AttachGroup(p)], vec![]),
        (
            "nobody to detach from",
            vec![],
            vec![Change::Detach { from: PolicyEntity::User("nobody".to_owned()), arn: policy("p")? }],
        ),
    ];
    let mut sequences = Vec::new();
    for (name, hands, changes) in rules {
        let before = both.iter().cloned().map(Step::Change);
        let mut steps: Vec<_> = before.chain(hands.into_iter().map(Step::Hand)).collect();
        steps.extend(changes.into_iter().map(Step::Change));
        steps.extend(reads("r", "p")?);
        sequences.push(Sequence { name: name.to_owned(), steps });
    }
    Ok(sequences)
}

/// Returns a random sequence over a few names, so that its calls meet each other.
pub fn random(seed: u64) -> Result<Sequence, Error> {
    let mut rng = Rng::with_seed(seed);
    let length = rng.usize(8..=15);
    let mut steps: Vec<Step> = Vec::new();
    for change in [create_role("r")?, create_policy("p", DOCUMENT)?] {
        if rng.u8(..4) > 0 {
            steps.push(Step::Change(change));
        }
    }
    while steps.len() < length {
        steps.push(step(&mut rng)?);
    }
    steps.extend(reads("r", "p")?);
    Ok(Sequence { name: format!("seed {seed}"), steps })
}

fn step(rng: &mut Rng) -> Result<Step, Error> {
    let of = ["r", "r", "s"][rng.usize(..3)];
    let name = ["p", "p", "q", "labs/p"][rng.usize(..4)];
    let document = [DOCUMENT, OTHER_DOCUMENT][rng.usize(..2)];
    let (r, p) = (role(of)?, policy(name)?);
    let some_tags = tags(&[[("team", "other"), ("cost", "42"), ("empty", "")][rng.usize(..3)]]);
    let key = ["team", "cost"][rng.usize(..2)].to_owned();
    let number = format!("v{}", rng.u8(1..4));
    Ok(Step::Change(match rng.u8(..20) {
        0 => create_role(of)?,
        1 => create_policy(name, document)?,
        2 | 3 => version(name, document)?,
        4 | 5 => attach(of, name)?,
        6 => detach(of, name)?,
        7 => Change::TagRole { role: r, tags: some_tags },
        8 => Change::TagPolicy { arn: p, tags: some_tags },
        9 => Change::UntagRole { role: r, keys: vec![key] },
        10 => Change::UntagPolicy { arn: p, keys: vec![key] },
        11 => Change::UpdateRole { role: r, description: "other".to_owned(), max_session_duration: 7_200 },
        12 => Change::UpdateTrust { role: r, trust: [TRUST, OTHER_TRUST][rng.usize(..2)].to_owned() },
        13 => Change::PutBoundary { role: r, boundary: [CAP.parse()?, p][rng.usize(..2)].clone() },
        14 => Change::DeletePolicyVersion { arn: p, version: number },
        15 => delete_policy(name)?,
        16 => delete_role(of)?,
        _ => {
            let all = reads(of, name)?;
            return Ok(all[rng.usize(..all.len())].clone());
        }
    }))
}
