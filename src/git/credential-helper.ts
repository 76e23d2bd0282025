/** The credential helper: a script for any POSIX shell, which needs `sleep` beside it and nothing else. PURE. */
import { FIRST_TOKEN_WAIT_SECONDS } from '../defaults.js';
import { ANNOTATION, CREDENTIAL_USERNAME, PRODUCT, SIDECAR_CONTAINER, STATE_DIRECTORY, STATE_FILE } from '../names.js';

/** What the script is written for. All of it is valid: letters, digits, hyphens and, in a domain, dots. */
export interface HelperOptions {
  /** None: any organization. */
  readonly organizations: readonly string[];
  readonly clientId: string;
  /** Its id, or a domain. */
  readonly tenantId: string;
}

/**
 * The script. It gives credentials only over `https`, only to the served hosts and, where organizations are named, only
 * to those. Without a valid token it prints the reason on stderr and answers `quit=1`, so that git ends instead of asking
 * for a password. When git erases a credential, which the server has then refused, it says whose and why on stderr.
 */
export function renderHelper({ organizations, clientId, tenantId }: HelperOptions): string {
  const limit = organizations.length === 0 ? '' : renderOrganizationLimit(organizations);
  return `${READ_QUESTION}${CHECK_HOST}${limit}
${READ_FILES}${renderRefusal(clientId, tenantId)}${PRINT_CREDENTIAL}${WAIT_FOR_TOKEN}`;
}

/** Leaves what git asks for in `protocol`, `host` and `path`, and what it sent in `sent_username` and `sent_password`. */
const READ_QUESTION = `{ set +vx; } >/dev/null 2>&1 # bash takes a trace from SHELLOPTS: it would write the token to stderr.
# Written by ado-git-identity when the pod was created: gives git the pod's token for Azure DevOps.
# git's credential protocol on stdin and stdout; messages for people on stderr.
case $1 in
  get | erase) action=$1 ;;
  *) exit 0 ;;
esac
LC_ALL=C
directory=${STATE_DIRECTORY}
carriage_return=$(printf '\\r' 2>/dev/null || print '\\r')

# Prints one line. Where printf is a program of its own, as for mksh, others could read the token among its arguments.
say() { echo "$1"; }
case $(command -v printf) in
  printf) say() { printf '%s\\n' "$1"; } ;;
  *) [ "$(command -v print)" != print ] || say() { print -r -- "$1"; } ;;
esac

refuse() {
  [ "$action" = get ] || exit 0
  say "${PRODUCT}: $1" >&2
  say quit=1
  exit 0
}

protocol= host= path= sent_username= sent_password=
while IFS= read -r line || [ -n "$line" ]; do
  case $line in
    *"$carriage_return"*) refuse 'git sent a value with a carriage return in it; no credential is given for such an address' ;;
    '') break ;;
    protocol=*) protocol=\${line#protocol=} ;;
    host=*) host=\${line#host=} ;;
    path=*) path=\${line#path=} ;;
    username=*) sent_username=\${line#username=} ;;
    password=*) sent_password=\${line#password=} ;;
  esac
done

`;

/** Leaves the organization that the question is about in `organization`. */
const CHECK_HOST = `[ "$protocol" = https ] || refuse 'credentials are given over https only; change the remote to https://'
server=\${host%:443}
case $server in
  ${matchAnyCase('dev.azure.com')}) organization=\${path%%/*} ;;
  *.${matchAnyCase('visualstudio.com')})
    organization=\${server%.*.*}
    case $organization in
      '' | *[!A-Za-z0-9-]*) refuse 'this host is not an organization of Azure DevOps; no credential is given for it' ;;
    esac
    ;;
  *) refuse 'this host is not Azure DevOps; no credential is given for it' ;;
esac
`;

function renderOrganizationLimit(organizations: readonly string[]): string {
  return `case /$path in
  *[\\\\]* | *//* | */./* | */../* | */. | */..) refuse 'the path of the remote is not plain; write it as Azure DevOps shows it' ;;
esac
case $organization in
  ${organizations.map(matchAnyCase).join('|')}) ;;
  *) refuse 'this pod gives credentials for these organizations only: ${organizations.join(', ')} (annotation ${ANNOTATION.organizations})' ;;
esac
`;
}

/** Shell functions that read what the sidecar writes. A pipe that lies where a file should is not opened. */
const READ_FILES = `# Leaves what the sidecar says in state, file and message.
read_state() {
  state= file= message=
  [ -f "$directory/${STATE_FILE.helper}" ] && [ -r "$directory/${STATE_FILE.helper}" ] || return 0
  while IFS= read -r line || [ -n "$line" ]; do
    case $line in
      state=*) state=\${line#state=} ;;
      file=*) file=\${line#file=} ;;
      message=*) message=\${line#message=} ;;
    esac
  done <"$directory/${STATE_FILE.helper}"
}

# Leaves the credential in username, password and expiry.
read_credential() {
  username= password= expiry=
  [ -n "$file" ] && [ -f "$directory/$file" ] && [ -r "$directory/$file" ] || return 0
  while IFS= read -r line || [ -n "$line" ]; do
    case $line in
      username=*) username=\${line#username=} ;;
      password=*) password=\${line#password=} ;;
      password_expiry_utc=*) expiry=\${line#password_expiry_utc=} ;;
    esac
  done <"$directory/$file"
}

`;

/** git erases what the server answered with 401. Says who was refused; the credential stays. */
function renderRefusal(clientId: string, tenantId: string): string {
  return `if [ "$action" = erase ]; then
  [ -n "$sent_password" ] || exit 0
  case $organization in
    '' | *[!A-Za-z0-9-]*) organization=ORGANIZATION ;;
  esac
  [ "\${#organization}" -le ${MAX_ORGANIZATION_LENGTH} ] || organization=ORGANIZATION
  read_state
  read_credential
  # With such a header git sends no credential; it erases the one that it has.
  header=$(git config --name-only --get-regexp '${EXTRA_HEADER}' '^[[:space:]]*${matchAnyCase('authorization')}[[:space:]]*:' 2>/dev/null) || :
  if [ -n "$header" ]; then
    say '${PRODUCT}: Azure DevOps refused an Authorization header that git is configured to send in place of the token; find and remove it: git config --show-origin --name-only --get-regexp extraheader' >&2
  elif [ "$sent_username" != ${CREDENTIAL_USERNAME} ]; then
    say '${PRODUCT}: Azure DevOps refused a password that is not from ${PRODUCT}; remove it from the URL of the remote, or from the program that gave it to git' >&2
  elif [ "$sent_password" = "$password" ]; then
    say "${PRODUCT}: Azure DevOps refused the token of client ${clientId} for organization $organization: is ${clientId} a user of $organization, and is $organization connected to tenant ${tenantId}?" >&2
  else
    say '${PRODUCT}: Azure DevOps refused a token that has expired or was replaced since git began; run git again' >&2
  fi
  exit 0
fi

`;
}

/** Azure DevOps' limit. */
const MAX_ORGANIZATION_LENGTH = 50;

/** Names of `http.extraHeader` for any URL, or one of the served hosts. */
const EXTRA_HEADER = String.raw`^http\.(https://([^/@]*@)?(dev\.azure\.com|[^/]*\.visualstudio\.com)[:/]?.*\.)?extraheader$`;

const PRINT_CREDENTIAL = `# Prints the credential, if it is whole: the sidecar replaces the file by a rename and removes it when the token expires.
print_credential() {
  read_credential
  [ -n "$username" ] && [ -n "$password" ] && [ -n "$expiry" ] || return 0
  say "username=$username"
  say "password=$password"
  say "password_expiry_utc=$expiry"
  exit 0
}

`;

/** Waits until the state is `ready` or `failed`, at most as long as the sidecar would. */
const WAIT_FOR_TOKEN = `# In tenths of a second. The sidecar keeps the clock; this one bounds the wait where the sidecar has not started.
waited=0 told=
while :; do
  read_state
  case $state in
    ready) print_credential ;;
    failed) refuse "\${message:-the sidecar has no token; see: kubectl logs POD -c ${SIDECAR_CONTAINER}}" ;;
  esac
  if [ "$waited" -ge ${FIRST_TOKEN_WAIT_SECONDS * 10} ]; then
    refuse "\${message:-no answer from the sidecar in ${FIRST_TOKEN_WAIT_SECONDS} seconds; see: kubectl logs POD -c ${SIDECAR_CONTAINER}}"
  fi
  if [ "$waited" -ge 50 ] && [ -z "$told" ]; then
    told=yes
    say "${PRODUCT}: waiting for the first token\${message:+: $message}" >&2
  fi
  if sleep 0.2 2>/dev/null; then
    waited=$((waited + 2))
  else
    sleep 1 || refuse 'this image has no sleep; the credential helper needs it to wait for the first token'
    waited=$((waited + 10))
  fi
done
`;

/** A `case` pattern that matches the text in upper, lower or mixed case; without other programs, a shell has no other way. */
function matchAnyCase(text: string): string {
  return text.replace(/[a-z]/gi, (letter) => `[${letter.toUpperCase()}${letter.toLowerCase()}]`);
}
