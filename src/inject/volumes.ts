/** The volumes of an injected pod. PURE. */
import type { Volume } from '../kubernetes/types.js';
import { CONFIG_FILE, EXTRA_CA_KEY, TOKEN_AUDIENCE, TOKEN_FILE, VOLUME, WRITTEN_ANNOTATION } from '../names.js';
import type { Defaults, Settings } from './settings.js';

/** Token, state and configuration; the file for the channel `system` and the ConfigMap only where they are needed. */
export function buildVolumes(settings: Settings, defaults: Defaults, withSystemFile: boolean): Volume[] {
  const volumes: (Volume & Readonly<Record<string, unknown>>)[] = [
    {
      name: VOLUME.token,
      projected: {
        sources: [
          {
            serviceAccountToken: {
              audience: TOKEN_AUDIENCE,
              expirationSeconds: settings.tokenExpiration,
              path: TOKEN_FILE,
            },
          },
        ],
      },
    },
    { name: VOLUME.state, emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } },
    {
      name: VOLUME.config,
      downwardAPI: {
        items: [
          readAnnotation(CONFIG_FILE.gitconfig, WRITTEN_ANNOTATION.gitconfig),
          readAnnotation(CONFIG_FILE.helper, WRITTEN_ANNOTATION.helper),
          ...(withSystemFile ? [readAnnotation(CONFIG_FILE.gitconfigSystem, WRITTEN_ANNOTATION.gitconfigSystem)] : []),
        ],
      },
    },
  ];
  if (defaults.extraCaConfigMap !== undefined) {
    volumes.push({
      name: VOLUME.extraCa,
      configMap: {
        name: defaults.extraCaConfigMap,
        items: [{ key: EXTRA_CA_KEY, path: EXTRA_CA_KEY }],
        optional: true,
      },
    });
  }
  return volumes;
}

function readAnnotation(path: string, annotation: string): unknown {
  return { path, fieldRef: { fieldPath: `metadata.annotations['${annotation}']` } };
}
