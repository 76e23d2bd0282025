/** The volumes of an injected pod. PURE. */
import type { V1DownwardAPIVolumeFile, V1Volume } from '@kubernetes/client-node';
import type { Plain } from '../kubernetes/types.js';
import { CONFIG_FILE, EXTRA_CA_KEY, TOKEN_AUDIENCE, TOKEN_FILE, VOLUME, WRITTEN_ANNOTATION } from '../names.js';
import type { Defaults, Settings } from './settings.js';

/** Volumes for token, state and configuration, the empty one, and for the ConfigMap where the installation names one. */
export function buildVolumes(settings: Settings, defaults: Defaults, withSystemFile: boolean): Plain<V1Volume>[] {
  const volumes: Plain<V1Volume>[] = [
    {
      name: VOLUME.token,
      projected: {
        sources: [
          {
            serviceAccountToken: {
              audience: TOKEN_AUDIENCE,
              expirationSeconds: settings.tokenExpirationSeconds,
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
          projectAnnotation(CONFIG_FILE.gitconfig, WRITTEN_ANNOTATION.gitconfig),
          projectAnnotation(CONFIG_FILE.helper, WRITTEN_ANNOTATION.helper),
          ...(withSystemFile
            ? [projectAnnotation(CONFIG_FILE.gitconfigSystem, WRITTEN_ANNOTATION.gitconfigSystem)]
            : []),
        ],
      },
    },
  ];
  // In memory, since the cluster autoscaler takes a volume on disk for local data that keeps a node from being removed.
  volumes.push({ name: VOLUME.noApiToken, emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } });
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

/** A file of the volume that holds the text of an annotation. */
function projectAnnotation(path: string, annotation: string): Plain<V1DownwardAPIVolumeFile> {
  return { path, fieldRef: { fieldPath: `metadata.annotations['${annotation}']` } };
}
