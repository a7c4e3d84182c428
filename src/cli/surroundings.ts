/** The environment of a run, so that tests need no process of their own. */
export interface Surroundings {
  env: Readonly<Record<string, string | undefined>>;
  homeDir: string;
  stdin: NodeJS.ReadStream;
  stdout: NodeJS.WriteStream;
  stderr: NodeJS.WriteStream;
}
