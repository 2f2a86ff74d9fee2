// The rules of the fields, as the template has them.

const sentence = (rule) => said("value_rule", { rule: rule.charAt(0).toUpperCase() + rule.slice(1) });

const matches = (pattern, value) => new RegExp(pattern, "u").test(value);

// The problem with a value; undefined if it is fine.
const problemOf = (field, value, values) => {
  if (value === "" && field.default === null) return said("is_required", { label: field.label });
  const refusal = field.refusals.find(([pattern]) => matches(pattern, value));
  if (refusal) return sentence(refusal[1]);
  const isFine = () => {
    if (field.choices) return field.choices.includes(value);
    if (field.range) return /^\+?\d+$/.test(value) && Number(value) >= field.range[0] && Number(value) <= field.range[1];
    if (field.pattern !== undefined && !matches(`^(?:${field.pattern})$`, value)) return false;
    return field.longest === null || Array.from(value).length <= field.longest;
  };
  if (!isFine()) return field.name === "region" ? said("region_unpublished", { value: value.slice(0, 40) }) : sentence(field.rule);
  if (field.name === "Prefix" && value !== "" && value.split("/")[0] === values.get("BucketName")) return sentence(DATA.beside);
  return undefined;
};

// Takes off what people copy along: blanks around a value, and slashes around a folder.
const tidy = (field, value) => (field.name === "Prefix" ? value.trim().replace(/^\/+|\/+$/g, "") : value.trim());
