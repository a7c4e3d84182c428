import { posix } from "node:path";
import type { Evidence } from "./types.ts";

/** Dependencies that name a framework, as they stand in manifests of any ecosystem. */
const frameworks: readonly (readonly [name: string, manifest: RegExp, dependency: RegExp])[] = [
  ["React", /package\.json$/, /"react"\s*:/],
  ["Vue", /package\.json$/, /"vue"\s*:/],
  ["Angular", /package\.json$/, /"@angular\/core"\s*:/],
  ["Svelte", /package\.json$/, /"svelte"\s*:/],
  ["Next.js", /package\.json$/, /"next"\s*:/],
  ["Express", /package\.json$/, /"express"\s*:/],
  ["Fastify", /package\.json$/, /"fastify"\s*:/],
  ["NestJS", /package\.json$/, /"@nestjs\/core"\s*:/],
  ["Hono", /package\.json$/, /"hono"\s*:/],
  ["Django", /(\.txt|\.toml|Pipfile)$/, /\bdjango\b/i],
  ["Flask", /(\.txt|\.toml|Pipfile)$/, /\bflask\b/i],
  ["FastAPI", /(\.txt|\.toml|Pipfile)$/, /\bfastapi\b/i],
  ["Gin", /go\.mod$/, /github\.com\/gin-gonic\/gin/],
  ["Echo", /go\.mod$/, /github\.com\/labstack\/echo/],
  ["Spring", /(pom\.xml|build\.gradle(\.kts)?)$/, /org\.springframework|spring-boot/],
  ["Quarkus", /(pom\.xml|build\.gradle(\.kts)?)$/, /io\.quarkus/],
  ["Actix", /Cargo\.toml$/, /^actix-web\b/m],
  ["Axum", /Cargo\.toml$/, /^axum\b/m],
  ["ASP.NET", /\.csproj$/, /Microsoft\.NET\.Sdk\.Web|Microsoft\.AspNetCore/],
  ["Laravel", /composer\.json$/, /"laravel\/framework"/],
  ["Symfony", /composer\.json$/, /"symfony\/framework-bundle"/],
  ["Rails", /Gemfile$/, /^\s*gem\s+["']rails["']/m],
];

const brokers =
  /"(amqplib|rabbitmq-client|kafkajs|nats|bullmq)"|\bpika\b|confluent-kafka|segmentio\/kafka-go/;

const shownPaths = 5;

/** Patterns that a tree of files shows; each is a function from paths to those that show it. */
const patterns: readonly (readonly [name: string, show: (paths: readonly string[]) => string[]])[] =
  [
    ["Layers", (paths) => layers(paths)],
    [
      "Containers",
      (paths) => paths.filter((path) => /(^|\/)(Dockerfile|Containerfile)/.test(path)),
    ],
    ["Infrastructure as code", (paths) => paths.filter((path) => path.endsWith(".tf"))],
    [
      "Kubernetes",
      (paths) =>
        paths.filter((path) => /(^|\/)(k8s|kubernetes|helm|charts)\/.*\.ya?ml$/.test(path)),
    ],
    ["Migrations", (paths) => paths.filter((path) => /(^|\/)migrations?\/[^/]+$/.test(path))],
    ["Continuous integration", (paths) => paths.filter(isPipeline)],
    [
      "API description",
      (paths) => paths.filter((path) => /(openapi|swagger)\.(json|ya?ml)$/.test(path)),
    ],
    ["Monorepo", (paths) => monorepo(paths)],
  ];

const pipelines = [
  /^\.github\/workflows\/[^/]+\.ya?ml$/,
  /^(\.gitlab-ci|azure-pipelines|\.travis|bitbucket-pipelines)\.yml$/,
  /^(\.circleci\/config\.yml|Jenkinsfile|\.ci\/[^/]+)$/,
];

/** Whether a file describes a pipeline of a known CI. */
export const isPipeline = (path: string): boolean => pipelines.some((each) => each.test(path));

function layers(paths: readonly string[]): string[] {
  const folders = new Set<string>();
  for (const path of paths) {
    const match = /^(.*\/)?(routes|controllers|services|repositories|store|models|domain)\//.exec(
      path,
    );
    if (match) folders.add(match[0]);
  }
  const kinds = new Set([...folders].map((folder) => posix.basename(folder)));
  return kinds.size >= 3 ? [...folders].sort() : [];
}

function monorepo(paths: readonly string[]): string[] {
  const found = paths.filter((path) =>
    /^(packages|apps|services)\/[^/]+\/package\.json$/.test(path),
  );
  return found.length >= 2 ? found : [];
}

/** Frameworks that manifests name and patterns that the tree shows, each with its evidence. */
export function findEvidence(
  paths: readonly string[],
  manifests: ReadonlyMap<string, string>,
): Evidence[] {
  const found: Evidence[] = [];
  for (const [name, manifest, dependency] of frameworks) {
    const evidence = [...manifests]
      .filter(([path, text]) => manifest.test(path) && dependency.test(text))
      .map(([path]) => path);
    if (evidence.length > 0) found.push({ name, kind: "framework", evidence: cut(evidence) });
  }
  const queued = [...manifests].filter(([, text]) => brokers.test(text)).map(([path]) => path);
  if (queued.length > 0) {
    found.push({ name: "Messages and queues", kind: "pattern", evidence: cut(queued) });
  }
  for (const [name, show] of patterns) {
    const evidence = show(paths);
    if (evidence.length > 0) found.push({ name, kind: "pattern", evidence: cut(evidence) });
  }
  return found;
}

const cut = (paths: readonly string[]): string[] => paths.slice(0, shownPaths);
