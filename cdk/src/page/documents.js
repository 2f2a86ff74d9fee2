// The documents: the native template's own, evaluated as CloudFormation would.

const evaluate = (expression, given) => {
  if (Array.isArray(expression)) return expression.map((item) => evaluate(item, given)).filter((item) => item !== undefined);
  if (expression === null || typeof expression !== "object") return expression;
  const entries = Object.entries(expression);
  if (entries.length === 1) {
    const [name, argument] = entries[0];
    switch (name) {
      case "Ref":
        return argument === "AWS::NoValue" ? undefined : given(argument);
      case "Fn::Sub":
        return argument.replace(/\$\{([A-Za-z:]+)\}/g, (_, inner) => given(inner));
      case "Fn::If":
        return evaluate(holds({ Condition: argument[0] }, given) ? argument[1] : argument[2], given);
    }
  }
  const evaluated = entries.map(([name, value]) => [name, evaluate(value, given)]);
  return Object.fromEntries(evaluated.filter(([, value]) => value !== undefined));
};

const holds = (condition, given) => {
  const [name, argument] = Object.entries(condition)[0];
  switch (name) {
    case "Condition":
      return holds(DATA.conditions[argument], given);
    case "Fn::Not":
      return !holds(argument[0], given);
    case "Fn::And":
      return argument.every((part) => holds(part, given));
    case "Fn::Equals":
      return evaluate(argument[0], given) === evaluate(argument[1], given);
    default:
      throw new Error(name);
  }
};

// Both documents of a state. An external ID that nobody knows yet is said in words.
const documentsOf = (values, externalId) => {
  const given = (name) => {
    if (name === "AWS::Partition") return "aws";
    if (name === "ExternalId") return externalId;
    return values.get(name) ?? "";
  };
  return { permissions: evaluate(DATA.permissions, given), trust: evaluate(DATA.trust, given) };
};

// The size that IAM counts: without white space, and with what is not ASCII escaped.
const sizeOf = (document) =>
  JSON.stringify(document).replace(/[^\x00-\x7f]/g, (unit) => "\\u" + unit.charCodeAt(0).toString(16).padStart(4, "0")).length;

const said = (name, parts = {}) => TEXTS[name].replace(/\{([a-z]+)\}/g, (_, part) => parts[part] ?? "");

// The meaning of the permission policy in sentences, read off the policy itself.
const meaningOf = (permissions, values) => {
  const statements = permissions.Statement;
  const allows = (action) => statements.some((statement) => statement.Action.includes(action));
  const parts = { bucket: values.get("BucketName") || said("your_bucket"), folder: `${values.get("Prefix")}/` };
  const isFolder = Boolean(values.get("Prefix"));
  const listsFolder = statements.some((statement) => statement.Action.includes("s3:ListBucket") && statement.Condition);
  const can = [said(listsFolder ? "list_folder" : "list_all", parts), said(isFolder ? "read_folder" : "read_all", parts)];
  const cannot = [];
  if (allows("s3:PutObject")) {
    can.push(said("write"));
    if (allows("s3:PutObjectAcl")) can.push(said("acls"));
    if (statements.some((statement) => statement.Sid === "RequestReadOnCopySourceObjects")) can.push(said("copy"));
  }
  if (allows("kms:GenerateDataKey")) can.push(said("encrypt"));
  else if (allows("kms:Decrypt")) can.push(said("decrypt"));
  if (!allows("s3:DeleteObject")) cannot.push(said(allows("s3:PutObject") ? "not_delete" : "not_write"));
  if (isFolder) cannot.push(said("not_outside", parts));
  cannot.push(said("not_other"));
  return { can, cannot };
};
