import { isPipeline } from "../measure/evidence.ts";
import type { FileFacts, FileText, ProjectFacts } from "../measure/types.ts";
import { any, type Hit, onAny, onLines, programs, type Rule, says } from "./rule.ts";

const isDockerfile = ({ language }: FileFacts): boolean => language === "Dockerfile";
const isCompose = ({ path }: FileFacts): boolean =>
  /(^|\/)(docker-)?compose[\w.-]*\.ya?ml$/.test(path);
const isKubernetes = ({ language }: FileFacts, { code }: FileText): boolean =>
  language === "YAML" &&
  says(code, /^apiVersion:/) &&
  says(code, /^kind:\s*(Deployment|StatefulSet|DaemonSet|Pod|Job|CronJob)\b/);

/** The first line that matches, as a place; the first line of the file when none does. */
const at = (file: FileFacts, text: FileText, pattern: RegExp): Hit => ({
  file: file.path,
  lineStart:
    Math.max(
      0,
      text.code.findIndex((line) => pattern.test(line)),
    ) + 1,
});

const has = ({ files }: ProjectFacts, trait: string): boolean =>
  files.some(({ traits }) => traits.includes(trait));

/** A server that lacks something its code would show. */
const serverWithout =
  (trait: string, evidence: string) =>
  (project: ProjectFacts): Hit[] => {
    const server = project.files.find(({ traits }) => traits.includes("listens"));
    return server && !has(project, trait) ? [{ file: server.path, lineStart: 1, evidence }] : [];
  };

/** A project with code that lacks a file. */
const withoutFile = (isIt: RegExp | ((path: string) => boolean), evidence: string) => {
  const matches = typeof isIt === "function" ? isIt : (path: string) => isIt.test(path);
  return ({ files }: ProjectFacts): Hit[] => {
    const code = files.find(({ language }) => language && programs.includes(language));
    if (!code || files.some(({ path }) => matches(path))) return [];
    return [{ file: code.path, lineStart: 1, evidence }];
  };
};

const runsAsRoot = (file: FileFacts, text: FileText): Hit[] => {
  if (!isDockerfile(file)) return [];
  const users = text.code.filter((line) => /^\s*USER\s/i.test(line));
  const last = users.at(-1);
  if (last && !/^\s*USER\s+(root|0)(:|\s|$)/i.test(last)) return [];
  return [at(file, text, last ? /^\s*USER\s+(root|0)/i : /^\s*FROM\s/i)];
};

function imagesUnpinned(file: FileFacts, text: FileText): Hit[] {
  const stages = new Set<string>();
  const hits: Hit[] = [];
  text.code.forEach((line, index) => {
    const pattern = isDockerfile(file)
      ? /^\s*FROM\s+(?:--\S+\s+)?(\S+)(?:\s+AS\s+(\S+))?/i
      : /^\s+(?:-\s+)?image:\s*["']?([^"'\s]+)/;
    const [, image, stage] = pattern.exec(line) ?? [];
    if (!image) return;
    const name = image.slice(image.lastIndexOf("/") + 1);
    const isKnown = stages.has(image.toLowerCase()) || image === "scratch" || image.includes("$");
    if (
      !isKnown &&
      !image.includes("@sha256:") &&
      (!name.includes(":") || name.endsWith(":latest"))
    ) {
      hits.push({ file: file.path, lineStart: index + 1 });
    }
    if (stage) stages.add(stage.toLowerCase());
  });
  return hits;
}

/** How the project is built, shipped and run. */
export const deliveryRules: readonly Rule[] = [
  {
    id: "CT-01-container-root",
    category: "operations",
    severity: "high",
    title: "The container runs as root",
    explanation:
      "Whoever breaks into the program is root in the container, and closer to the host.",
    suggestion: "Add a user and switch to it with USER.",
    file: runsAsRoot,
  },
  {
    id: "CT-01-secret-in-image",
    category: "security",
    severity: "high",
    title: "A secret is built into the image",
    explanation: "Whoever can pull the image can read every ENV and ARG of its build.",
    suggestion: "Use a build secret, or hand it over when the container starts.",
    file: (file, text) =>
      onLines({
        languages: ["Dockerfile"],
        pattern: /^\s*(ENV|ARG)\s+\w*(PASSWORD|SECRET|TOKEN|API_?KEY|PRIVATE_KEY)\w*\s*[= ]\s*\S+/i,
      })(file, text).map((hit) => ({ ...hit, evidence: "ENV or ARG with a secret (not quoted)" })),
  },
  {
    id: "CT-02-image-unpinned",
    category: "operations",
    severity: "medium",
    title: "An image has no version",
    explanation: "The same file builds or starts something else next week.",
    suggestion: "Name a version, best with its digest.",
    file: (file, text) =>
      isDockerfile(file) || isCompose(file) || isKubernetes(file, text)
        ? imagesUnpinned(file, text)
        : [],
  },
  {
    id: "CT-02-healthcheck-missing",
    category: "operations",
    severity: "medium",
    title: "An image that serves has no health check",
    explanation: "A process that hangs counts as running.",
    suggestion: "Add HEALTHCHECK, or a probe where it is deployed.",
    file: (file, text) =>
      isDockerfile(file) &&
      says(text.code, /^\s*EXPOSE\s/i) &&
      !says(text.code, /^\s*HEALTHCHECK\s/i)
        ? [at(file, text, /^\s*EXPOSE\s/i)]
        : [],
  },
  {
    id: "CT-02-remote-add",
    category: "security",
    severity: "medium",
    title: "An image adds a file from an address",
    explanation: "ADD does not check what it was sent.",
    suggestion: "Download it with a checksum, or use ADD --checksum.",
    file: onLines({ languages: ["Dockerfile"], pattern: /^\s*ADD\s+https?:\/\//i }),
  },
  {
    id: "CT-02-database-port",
    category: "security",
    severity: "medium",
    title: "A database's port is open to the network",
    explanation: "Compose publishes ports on every address of the host, past its firewall.",
    suggestion: "Leave the port out, or bind it to 127.0.0.1.",
    file: (file, text) =>
      isCompose(file)
        ? onLines({
            pattern: /^\s*-\s*["']?(\d+:)?(5432|3306|27017|6379|1433|9200|5672)(:\d+)?["']?\s*$/,
          })(file, text)
        : [],
  },
  {
    id: "CT-02-privileged",
    category: "security",
    severity: "high",
    title: "A container has the rights of the host",
    explanation: "Privileged containers, and those with the engine's socket, own the machine.",
    suggestion: "Grant the one capability that is needed.",
    file: onLines({
      languages: ["YAML"],
      pattern: any(
        /^\s*(-\s*)?(privileged|hostNetwork|hostPID):\s*true/,
        /^\s*network_mode:\s*["']?host/,
        /\/var\/run\/docker\.sock:/,
      ),
    }),
  },
  {
    id: "CT-02-dockerignore-missing",
    category: "operations",
    severity: "low",
    title: "Everything is sent to the image's build",
    explanation: "Without .dockerignore, COPY . takes .git and local secrets along.",
    suggestion: "Add a .dockerignore.",
    project: ({ files }) => {
      const dockerfile = files.find(isDockerfile);
      if (!dockerfile || files.some(({ path }) => path.endsWith(".dockerignore"))) return [];
      return [{ file: dockerfile.path, lineStart: 1, evidence: "no .dockerignore" }];
    },
  },
  {
    id: "CT-03-limits-missing",
    category: "operations",
    severity: "medium",
    title: "A workload has no limits",
    explanation: "One that grows takes memory and time from everything on its node.",
    suggestion: "Set resources.requests and resources.limits.",
    file: (file, text) =>
      isKubernetes(file, text) && !says(text.code, /^\s+limits:/) ? [at(file, text, /^kind:/)] : [],
  },
  {
    id: "CT-03-probes-missing",
    category: "operations",
    severity: "medium",
    title: "A workload has no probes",
    explanation: "Kubernetes sends traffic to pods that can't answer, and keeps those that hang.",
    suggestion: "Add a readinessProbe and a livenessProbe.",
    file: (file, text) =>
      isKubernetes(file, text) &&
      says(text.code, /^kind:\s*(Deployment|StatefulSet|DaemonSet)/) &&
      !says(text.code, /(readiness|liveness)Probe:/)
        ? [at(file, text, /^kind:/)]
        : [],
  },
  {
    id: "DV-01-ci-missing",
    category: "operations",
    severity: "high",
    title: "Nothing checks a change before it lands",
    explanation: "No pipeline of a known CI is in the tree.",
    suggestion: "Add one that builds, lints and tests.",
    project: withoutFile(isPipeline, "no pipeline"),
  },
  {
    id: "DV-01-action-unpinned",
    category: "security",
    severity: "medium",
    title: "A pipeline runs what a branch or tag holds today",
    explanation: "Whoever can move it runs code with this repository's secrets.",
    suggestion: "Name the action by its full commit.",
    file: onLines({
      files: /^\.github\/workflows\/[^/]+\.ya?ml$/,
      pattern: /^\s*-?\s*uses:\s*[\w.-]+\/[^@\s]+@(?![0-9a-f]{40}\b)\S+/,
    }),
  },
  {
    id: "DV-01-workflow-rights",
    category: "security",
    severity: "high",
    title: "A pipeline runs strangers' code with its secrets",
    explanation: "pull_request_target runs with the repository's secrets, for everybody's changes.",
    suggestion: "Use pull_request, or never check out the change.",
    file: (file, text) =>
      onLines({
        files: /^\.github\/workflows\/[^/]+\.ya?ml$/,
        pattern: /github\.event\.pull_request\.head\.(sha|ref)/,
      })(file, text).filter(() => says(text.code, /\bpull_request_target\b/)),
  },
  {
    id: "DV-05-readme-missing",
    category: "operations",
    severity: "low",
    title: "There is no README",
    explanation: "Nobody can tell what this is, or how it is started.",
    suggestion: "Write down what it does and the commands to run it.",
    project: withoutFile(/^readme(\.\w+)?$/i, "no README"),
  },
  {
    id: "license-missing",
    category: "operations",
    severity: "info",
    title: "There is no licence",
    explanation: "Without one nobody may use, change or pass on the code.",
    suggestion: "Add a LICENSE file.",
    project: withoutFile(/^(licen[cs]e|copying)([.-][\w.-]+)?$/i, "no LICENSE"),
  },
  {
    id: "HL-01-health-missing",
    category: "operations",
    severity: "medium",
    title: "A server can't be asked how it is",
    explanation: "Load balancers and people can't tell a server that works from one that hangs.",
    suggestion: "Answer on /health or /ready, the latter with what the server depends on.",
    project: serverWithout("health", "it listens, and no code answers on a health path"),
  },
  {
    id: "HL-05-stop-unhandled",
    category: "operations",
    severity: "medium",
    title: "A server dies in the middle of its work",
    explanation: "Nothing handles SIGTERM: each deployment cuts requests off.",
    suggestion: "Stop listening, finish what is under way, then exit.",
    project: serverWithout("stops", "it listens, and no code handles SIGTERM"),
  },
  {
    id: "OB-01-metrics-missing",
    category: "operations",
    severity: "low",
    title: "A server keeps no figures",
    explanation: "How many requests fail, and how slowly, is known only when somebody complains.",
    suggestion: "Count requests, errors and durations, and let them be scraped.",
    project: serverWithout("metrics", "it listens, and no code keeps metrics"),
  },
  {
    id: "AP-06-limits-missing",
    category: "operations",
    severity: "low",
    title: "A server takes any number of requests",
    explanation: "One caller can use up what all share.",
    suggestion: "Limit requests per caller and answer 429.",
    project: serverWithout("limits", "it listens, and no code limits requests"),
  },
  {
    id: "select-all-columns",
    category: "operations",
    severity: "info",
    title: "A query asks for every column",
    explanation: "Columns added later travel along, and may be none of the caller's business.",
    suggestion: "Name the columns.",
    file: onAny({ languages: programs, pattern: /["'`]\s*SELECT\s+\*\s+FROM\s/i }),
  },
];
