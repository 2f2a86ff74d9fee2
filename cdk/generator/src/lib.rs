//! The generator: templates, launch links, launch page and IAM documents as values. It does no I/O and draws no random
//! numbers.
//!
//! ```text
//! template ──> cfn           the two stacks, in CloudFormation's template language
//! page                       the page that makes links, mails and commands in a browser
//! launch                     links that open the CloudFormation console
//! documents, operator        IAM documents of a volume, and of the person who operates a stack
//! meaning                    sentences about a permission policy
//! stack_name, regions        names of stacks and regions, checked
//! address                    addresses of objects in S3
//! wording                    words of error messages
//! ```

pub mod address;
pub mod cfn;
pub mod documents;
pub mod launch;
pub mod meaning;
pub mod operator;
pub mod page;
pub mod regions;
pub mod stack_name;
pub mod template;
pub mod wording;
