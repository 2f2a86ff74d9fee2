// The ways to use a state: the link to the console, the mail, and the commands.

const quote = (value) => (/^[A-Za-z0-9_@%+=:,./-]+$/.test(value) ? value : `'${value.replaceAll("'", "'\\''")}'`);

// The template's parameters that are not as they are by themselves.
const parametersOf = (state) =>
  changed(state.kind, state.values)
    .filter((field) => field.isParameter && state.values.get(field.name) !== "")
    .map((field) => [field.name, state.values.get(field.name)]);

// A region comes from a link, too, so that only the list's own count.
const bucketOfRelease = (state) => {
  const region = state.values.get("region");
  return DATA.buckets && Object.hasOwn(DATA.buckets, region) ? DATA.buckets[region] : undefined;
};

const objectAddress = (state, key) => `https://${bucketOfRelease(state)}.s3.${state.values.get("region")}.amazonaws.com/${key}`;

const consoleLink = (state) => {
  if (bucketOfRelease(state) === undefined) return undefined;
  const region = state.values.get("region");
  const parameters = parametersOf(state).map(([name, value]) => `&param_${name}=${encode(value)}`);
  return (
    `https://${region}.console.aws.amazon.com/cloudformation/home?region=${region}#/stacks/create/review` +
    `?templateURL=${encode(objectAddress(state, state.kind.key))}&stackName=${encode(state.values.get("stack"))}${parameters.join("")}`
  );
};

const command = (words) => words.map(quote).join(" ");

const awsCommands = (state) => {
  const [region, stack] = [state.values.get("region"), state.values.get("stack")];
  const at = ["--region", region, "--stack-name", stack];
  const isNative = state.kind.id === "native";
  const lines = [];
  const file = state.kind.file;
  if (bucketOfRelease(state) !== undefined) {
    lines.push(command(["aws", "s3", "cp", "--region", region, `s3://${bucketOfRelease(state)}/${state.kind.key}`, file]));
  }
  const parameters = parametersOf(state).map(([name, value]) => quote(`${name}=${value}`));
  // Made where it is used, so that it stands in no history of commands.
  if (isNative) parameters.push('ExternalId="$(openssl rand -hex 16)"');
  const capability = isNative ? "CAPABILITY_NAMED_IAM" : "CAPABILITY_IAM";
  const deploy = ["aws", "cloudformation", "deploy", ...at, "--template-file", file, "--capabilities", capability];
  lines.push([command(deploy), `--parameter-overrides ${parameters.join(" ")}`].join(" \\\n    "));
  lines.push(command(["aws", "cloudformation", "describe-stacks", ...at, "--query", "Stacks[0].Outputs"]));
  return lines.join("\n");
};

const ownCommand = (state) => {
  const [region, stack] = [state.values.get("region"), state.values.get("stack")];
  const words = ["cavatica-connect", "deploy", "--region", region, "--stack-name", stack];
  if (DATA.platformFile) words.push("--platform", DATA.platformFile);
  if (state.kind.id === "native") words.push("--native");
  if (bucketOfRelease(state) !== undefined) words.push("--release", objectAddress(state, DATA.list));
  for (const [name, value] of parametersOf(state)) {
    if (name === "BucketName") words.push(`--bucket=${value}`);
    else if (name === "Prefix") words.push(`--prefix=${value}`);
    else if (name === "AccessMode") words.push("--access", value === "ReadWrite" ? "read-write" : "read-only");
    else words.push(`--param=${name}=${value}`);
  }
  return command(words);
};

// The page's own address with the state in it, where others can open that.
const pageLink = (state) => (location.protocol === "file:" ? undefined : location.href.split("#")[0] + fragmentOf(state));

const linkToMail = (state) => pageLink(state) ?? consoleLink(state);

const mailOf = (state, can) => {
  const value = (name) => state.values.get(name);
  const isNative = state.kind.id === "native";
  const link = linkToMail(state);
  const folder = value("Prefix") === "" ? said("mail_all") : said("mail_folder", { folder: value("Prefix") });
  const access = said(value("AccessMode") === "ReadWrite" ? "mail_write" : "mail_read");
  const lines = [
    said("mail_hello"),
    "",
    said("mail_purpose", { bucket: value("BucketName"), folder, access }),
    "",
    link === undefined
      ? `${said("mail_attached", { file: state.kind.file })}\n\n${awsCommands(state)}\n`
      : said("mail_open", { link }),
    said("mail_look", { can: `${said("can")} ${can.join("; ")}` }),
    said("mail_create", { function: isNative ? "" : said("mail_function") }) + (isNative && link !== undefined ? said("mail_id") : ""),
    said("mail_answer"),
    "",
    `${said("mail_undo")} ${said("mail_cost")}`,
  ];
  // A line break in a subject would begin another header.
  const subject = said("mail_subject", { bucket: value("BucketName") }).replace(/[\x00-\x1f\x7f]+/g, " ");
  return { subject, body: lines.join("\n") };
};
