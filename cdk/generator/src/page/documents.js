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

// The meaning of a permission policy in sentences, read off the policy itself by the table of permissions.
const meaningOf = (permissions, values) => {
  const statements = permissions.Statement;
  const [bucket, prefix] = [values.get("BucketName") || said("your_bucket"), values.get("Prefix")];
  const filled = (text) => text.replaceAll("{bucket}", bucket).replaceAll("{folder}", `${prefix}/`);
  // A statement about the folder has `PREFIX/*` in a resource or in a condition.
  const inFolder = (statement) => Boolean(prefix) && JSON.stringify(statement).includes(JSON.stringify(`${prefix}/*`).slice(1, -1));
  const allowing = (permission) =>
    statements.find(
      (statement) => (permission.statement ?? statement.Sid) === statement.Sid && [statement.Action].flat().includes(permission.action),
    );
  const [can, cannot] = [new Set(), new Set()];
  for (const permission of DATA.meanings) {
    const statement = allowing(permission);
    if (statement) can.add(filled((inFolder(statement) && permission.can_in_folder) || permission.can));
    const not = statement ? inFolder(statement) && permission.cannot_outside : permission.cannot;
    if (not) cannot.add(filled(not));
  }
  const buckets = [...DATA.copyBuckets, values.get("BucketName") || "BUCKET"];
  const isConfined = statements.flatMap((statement) => statement.Resource).every((resource) => {
    const parts = resource.split(":");
    const name = parts.slice(5).join(":");
    return parts[2] === "kms" ? name.startsWith("key/") : parts[2] === "s3" && buckets.includes(name.split("/")[0]);
  });
  if (isConfined) cannot.add(filled(DATA.nothingElse));
  return { can: [...can], cannot: [...cannot] };
};
