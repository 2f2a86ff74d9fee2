// The custom resource in JavaScript: the calls of a stage at once, and the answer to CloudFormation.
// Lambda's own runtime client for Node.js is compiled where it is installed, so its loop is written here: it is shorter
// than Lambda's.

import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import {
  AttachRolePolicyCommand, CreatePolicyCommand, CreatePolicyVersionCommand, CreateRoleCommand, DeletePolicyCommand,
  DeletePolicyVersionCommand, DeleteRoleCommand, DetachRolePolicyCommand, GetPolicyCommand, GetPolicyVersionCommand,
  GetRoleCommand, IAMClient, ListAttachedRolePoliciesCommand, ListEntitiesForPolicyCommand,
  ListInstanceProfilesForRoleCommand, ListPolicyVersionsCommand, ListRolePoliciesCommand,
} from "@aws-sdk/client-iam";
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";

const clients = { iam: new IAMClient({}), sts: new STSClient({}) };
const commands = {
  AttachRolePolicy: AttachRolePolicyCommand,
  CreatePolicy: CreatePolicyCommand,
  CreatePolicyVersion: CreatePolicyVersionCommand,
  CreateRole: CreateRoleCommand,
  DeletePolicy: DeletePolicyCommand,
  DeletePolicyVersion: DeletePolicyVersionCommand,
  DeleteRole: DeleteRoleCommand,
  DetachRolePolicy: DetachRolePolicyCommand,
  GetCallerIdentity: GetCallerIdentityCommand,
  GetPolicy: GetPolicyCommand,
  GetPolicyVersion: GetPolicyVersionCommand,
  GetRole: GetRoleCommand,
  ListAttachedRolePolicies: ListAttachedRolePoliciesCommand,
  ListEntitiesForPolicy: ListEntitiesForPolicyCommand,
  ListInstanceProfilesForRole: ListInstanceProfilesForRoleCommand,
  ListPolicyVersions: ListPolicyVersionsCommand,
  ListRolePolicies: ListRolePoliciesCommand,
};
const plans = JSON.parse(readFileSync(process.env.COMPARE_CALLS, "utf8"));

const make = async ({ service, action, input, fails }) => {
  try {
    await clients[service].send(new commands[action](input));
  } catch (error) {
    if (!fails || !error.$metadata?.httpStatusCode) throw error;
  }
};

const send = (protocol, url, options, body) =>
  new Promise((resolve, reject) => {
    const request = protocol.request(url, options, (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("end", () => resolve({ headers: response.headers, body: Buffer.concat(chunks).toString() }));
    });
    request.on("error", reject);
    request.end(body);
  });

const handle = async (event) => {
  for (const stage of plans[event.RequestType]) await Promise.all(stage.map(make));
  const { StackId, RequestId, LogicalResourceId } = event;
  const PhysicalResourceId = "arn:aws:iam::123456789012:role/measured";
  const answer = JSON.stringify({ Status: "SUCCESS", PhysicalResourceId, StackId, RequestId, LogicalResourceId });
  const headers = { "content-type": "", "content-length": Buffer.byteLength(answer) };
  await send(https, event.ResponseURL, { method: "PUT", headers }, answer);
};

const runtime = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation`;

const run = async () => {
  for (;;) {
    const { headers, body } = await send(http, `${runtime}/next`, {});
    const invocation = `${runtime}/${headers["lambda-runtime-aws-request-id"]}`;
    try {
      await handle(JSON.parse(body));
      await send(http, `${invocation}/response`, { method: "POST" }, "null");
    } catch (error) {
      await send(http, `${invocation}/error`, { method: "POST" }, JSON.stringify({ errorMessage: String(error) }));
    }
  }
};
run();
