-- One tier of a search: its rows, the one with the highest number first.
--
-- KEYS[1]  the prefix's own key
-- ARGV     the prefix, the level, the name ('' for everything), before (number or '+inf'), limit,
--          how many rows to look at, how many digests of refs, each of them, then the words
--
-- Gives {where to go on or '', number, key, seq, body, refs, text, number, …}. A search that would take long is done in pieces,
-- for a script lets nobody else be served.
--
-- The rows that are looked at come from the shortest list that holds all of the tier: those of a
-- name, of a ref, or of a word, or all. Each is then tested by its line of terms.

local prefix, level, name = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local before, limit, patience = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local n_refs = tonumber(ARGV[7])
local refs, words = {}, {}
for i = 1, n_refs do
  refs[i] = prefix .. 'refdocs:' .. ARGV[7 + i]
end
for i = 8 + n_refs, #ARGV do
  words[#words + 1] = ARGV[i]
end
local upper = before == '+inf' and before or '(' .. before

local MOST_TERMS, MOST_GATHERED = 500, 4000

-- What holds all rows of the tier: {n, keys}, the rows being in the union of the sorted sets.
local best = {n = redis.call('ZCARD', prefix .. 'docs'), keys = {prefix .. 'docs'}}
local function offer(n, keys, word)
  if n < best.n then
    best = {n = n, keys = keys, word = word}
  end
end

if level == 0 then
  local key = prefix .. 'name:' .. name
  offer(redis.call('ZCARD', key), {key})
end
for _, key in ipairs(refs) do
  offer(redis.call('ZCARD', key), {key})
end
local keys_of = {} -- the sorted sets that hold a word's rows, where they are few
for _, word in ipairs(words) do
  local n, keys = 0, {}
  for at = 1, level do
    local start = at .. word
    local terms = redis.call(
      'ZRANGEBYLEX', prefix .. 'words', '[' .. start, '(' .. start .. '\255', 'LIMIT', 0, MOST_TERMS
    )
    if #terms == MOST_TERMS then
      n = math.huge
      break
    end
    for _, term in ipairs(terms) do
      local key = prefix .. 'word:' .. term
      keys[#keys + 1] = key
      n = n + redis.call('ZCARD', key)
    end
  end
  if n == 0 then
    return {''}
  end
  if #keys <= 8 or n <= MOST_GATHERED then
    offer(n, keys, word)
  end
  if #keys <= 4 and n < math.huge then
    keys_of[word] = keys
  end
end

local function holds(line, to)
  for _, word in ipairs(words) do
    local found = false
    for at = 1, to do
      if string.find(line, ' ' .. at .. word, 1, true) then
        found = true
        break
      end
    end
    if not found then
      return false
    end
  end
  return true
end

local named = {}
if name ~= '' then
  for _, doc in ipairs(redis.call('ZRANGE', prefix .. 'name:' .. name, 0, -1)) do
    named[doc] = true
  end
end

local function accepts(doc, line)
  if not line then
    return false
  end
  if name ~= '' then
    if level == 0 or named[doc] then
      if level > 0 or not named[doc] then
        return false
      end
    elseif not holds(line, level) or (level > 1 and holds(line, level - 1)) then
      return false
    end
  end
  for _, key in ipairs(refs) do
    if not redis.call('ZSCORE', key, doc) then
      return false
    end
  end
  return true
end

-- Numbers of the candidates, the highest first, in runs.
local chunk = 100
local heads = {}
for i, key in ipairs(best.keys) do
  heads[i] = {key = key, upper = upper, docs = {}, at = 1}
end
local function peek(head)
  if head.at > #head.docs and not head.done then
    head.docs = redis.call('ZREVRANGEBYSCORE', head.key, head.upper, '-inf', 'LIMIT', 0, chunk)
    head.at = 1
    head.done = #head.docs == 0
    if not head.done then
      head.upper = '(' .. head.docs[#head.docs]
    end
  end
  return head.docs[head.at]
end
local function next_doc()
  local top, top_number
  for _, head in ipairs(heads) do
    local doc = peek(head)
    local number = doc and tonumber(doc)
    if number and (not top_number or number > top_number) then
      top, top_number = doc, number
    end
  end
  for _, head in ipairs(heads) do
    if top and head.docs[head.at] == top then
      head.at = head.at + 1
    end
  end
  return top
end
if #best.keys > 8 then
  local all, seen = {}, {}
  for _, key in ipairs(best.keys) do
    for _, doc in ipairs(redis.call('ZREVRANGEBYSCORE', key, upper, '-inf')) do
      if not seen[doc] then
        seen[doc] = true
        all[#all + 1] = doc
      end
    end
  end
  table.sort(all, function(a, b) return tonumber(a) > tonumber(b) end)
  heads = {{docs = all, at = 1, done = true}}
end

local function next_docs()
  local docs = {}
  if #heads == 1 and not heads[1].done and #heads[1].docs < heads[1].at then
    peek(heads[1])
    docs, heads[1].docs, heads[1].at = heads[1].docs, {}, 1
    return docs
  end
  while #docs < chunk do
    local doc = next_doc()
    if not doc then
      break
    end
    docs[#docs + 1] = doc
  end
  return docs
end

-- Those that have every other word, which is shorter to see than in their lines.
local function narrowed(docs)
  for word, keys in pairs(keys_of) do
    if word ~= best.word and #docs > 0 then
      local has, left = {}, {}
      for _, key in ipairs(keys) do
        for i, score in ipairs(redis.call('ZMSCORE', key, unpack(docs))) do
          has[i] = has[i] or score
        end
      end
      for i, doc in ipairs(docs) do
        if has[i] then
          left[#left + 1] = doc
        end
      end
      docs = left
    end
  end
  return docs
end

local function add_row(answer, doc)
  local key = redis.call('HGET', prefix .. 'rows', doc)
  local row = redis.call('HMGET', key, 'seq', 'body', 'refs', 'text')
  for _, value in ipairs({doc, key, row[1], row[2], row[3], row[4] or ''}) do
    answer[#answer + 1] = value
  end
end

local answer, found, looked = {''}, 0, 0
local docs = next_docs()
while #docs > 0 do
  local left = narrowed(docs)
  local lines = #left > 0 and redis.call('HMGET', prefix .. 'lines', unpack(left)) or {}
  for i, doc in ipairs(left) do
    if accepts(doc, lines[i]) then
      add_row(answer, doc)
      found = found + 1
      if found == limit then
        return answer
      end
    end
  end
  looked = looked + #docs
  if looked >= patience then
    answer[1] = docs[#docs]
    return answer
  end
  chunk = 500
  docs = next_docs()
end
return answer
