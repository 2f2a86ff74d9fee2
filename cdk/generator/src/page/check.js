// The rules of the fields, as the template has them.

const sentence = (rule) => said("value_rule", { rule: rule.charAt(0).toUpperCase() + rule.slice(1) });

const matches = (pattern, value) => new RegExp(pattern, "u").test(value);

// True if tags, written Key=Value,Key=Value, are what the function takes.
const areTags = (rules, text) => {
  const trimmed = (part) => part.replace(/^\p{White_Space}+|\p{White_Space}+$/gu, "");
  const fits = (part, longest) => Array.from(part).length <= longest && matches(`^${rules.text}$`, part);
  const pairs = text === "" ? [] : text.split(",").map((pair) => /^([^=]*)=(.*)$/su.exec(pair));
  if (pairs.includes(null) || pairs.length > rules.most) return false;
  const tags = pairs.map(([, key, value]) => [trimmed(key), trimmed(value)]);
  const keys = tags.map(([key]) => key.toLowerCase());
  const isFree = (key) => key !== "" && !rules.reserved.some((reserved) => key.startsWith(reserved));
  return new Set(keys).size === keys.length && keys.every(isFree)
    && tags.every(([key, value]) => fits(key, rules.key) && fits(value, rules.value));
};

// The problem with a value; undefined if it is fine. Rules across fields are those of the template, told at the field that they begin with.
const problemOf = (field, value, values, rules) => {
  if (value === "" && field.default === null) return said("is_required", { label: field.label });
  const copied = { BucketName: () => insteadOfBucket(value), Prefix: () => insteadOfPrefix(value, values.get("BucketName")) }[field.name]?.();
  if (copied !== undefined) return copied;
  const refusal = field.refusals.find(([pattern]) => matches(pattern, value));
  if (refusal) return sentence(refusal[1]);
  if (field.tags && !areTags(field.tags, value)) return sentence(field.tags.rule);
  const isFine = () => {
    if (field.choices) return field.choices.includes(value);
    if (field.range) return /^\+?\d+$/.test(value) && Number(value) >= field.range[0] && Number(value) <= field.range[1];
    if (field.pattern !== undefined && !matches(`^(?:${field.pattern})$`, value)) return false;
    return field.longest === null || Array.from(value).length <= field.longest;
  };
  if (!isFine()) return field.name === "region" ? said("region_unpublished", { value: value.slice(0, 40) }) : sentence(field.rule);
  return rules.find((rule) => rule.field === field.name && !holds(rule.assertion, (name) => values.get(name) ?? ""))?.sentence;
};

// Takes off what people copy along: blanks around a value, and slashes around a folder.
const tidy = (field, value) => (field.name === "Prefix" ? tidied(value) : value.replace(/^\p{White_Space}+|\p{White_Space}+$/gu, ""));
