/** Sizes by name, for who does not want to choose. */
export const presets = {
  tiny: {
    title: "A shell to try something in",
    cpuMillis: 250,
    memoryMb: 256,
    ttlSeconds: 300,
  },
  standard: {
    title: "A small program at work",
    cpuMillis: 500,
    memoryMb: 512,
    ttlSeconds: 1_800,
  },
  large: {
    title: "A build, a test suite, a small model",
    cpuMillis: 1_000,
    memoryMb: 1_024,
    ttlSeconds: 3_600,
  },
} as const;

export type PresetName = keyof typeof presets;
export const presetNames = Object.keys(presets) as PresetName[];
export const defaultPreset: PresetName = "standard";
