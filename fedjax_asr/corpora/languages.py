"""What synthetic speakers say in languages other than English, and how.

Digits and a few commands each. Numbers are those of num2words where it knows
the language.
"""

from typing import NamedTuple

from fedjax_asr import config

ENGLISH = 'en'


class Language(NamedTuple):
  """A language of eSpeak NG.

  voice: its file below lang/.
  numbers: what num2words calls it; '' where it does not know it.
  digits: from nought to nine.
  templates: of commands; `{number}` and `{digits}` are made of the above.
  options: of each other slot, with a comma between them.
  between: words.
  """

  voice: str
  numbers: str
  digits: str
  templates: tuple[str, ...]
  options: dict[str, str]
  between: str = ' '


_GERMAN = Language(
  voice='gmw/de',
  numbers='de',
  digits='null, eins, zwei, drei, vier, fünf, sechs, sieben, acht, neun',
  templates=(
    'schalte {device} {room} {switch}',
    'stelle {device} {room} auf {number}',
    '{move} {opening} und warte',
    'ruf {name} am {day} um {number} an',
    'geh {number} schritte nach {direction}',
    '{digits}',
  ),
  options={
    'device': 'das licht, die lampe, die heizung, das radio, die kamera',
    'room': 'in der küche, im bad, im flur, in der garage, im büro, im garten',
    'switch': 'ein, aus',
    'move': 'öffne, schließe',
    'opening': 'die tür, das fenster',
    'name': 'anna, peter, maria, jürgen, susanne, käthe',
    'day': 'montag, dienstag, mittwoch, donnerstag, freitag, samstag, sonntag',
    'direction': 'links, rechts, vorn, hinten',
  },
)
_SPANISH = Language(
  voice='roa/es',
  numbers='es',
  digits='cero, uno, dos, tres, cuatro, cinco, seis, siete, ocho, nueve',
  templates=(
    '{switch} {device} {room}',
    'pon {device} {room} en {number}',
    '{move} {opening} y espera',
    'llama a {name} el {day} a las {number}',
    'da {number} pasos hacia {direction}',
    '{digits}',
  ),
  options={
    'switch': 'enciende, apaga',
    'device': 'la luz, la lámpara, la calefacción, la radio, la cámara',
    'room': 'de la cocina, del baño, del pasillo, del garaje, del jardín',
    'move': 'abre, cierra',
    'opening': 'la puerta, la ventana',
    'name': 'ana, pedro, maría, josé, lucía, íñigo',
    'day': 'lunes, martes, miércoles, jueves, viernes, sábado, domingo',
    'direction': 'la izquierda, la derecha, delante, atrás',
  },
)
_FRENCH = Language(
  voice='roa/fr',
  numbers='fr',
  digits='zéro, un, deux, trois, quatre, cinq, six, sept, huit, neuf',
  templates=(
    "{switch} {device} {room} s'il te plaît",
    'règle {device} {room} sur {number}',
    '{move} {opening} puis attends',
    'appelle {name} {day} à {number} heures',
    'fais {number} pas vers {direction}',
    '{digits}',
  ),
  options={
    'switch': 'allume, éteins',
    'device': 'la lumière, la lampe, le chauffage, la radio, la caméra',
    'room': 'de la cuisine, du couloir, du garage, du jardin, de la chambre',
    'move': 'ouvre, ferme',
    'opening': 'la porte, la fenêtre',
    'name': 'anne, pierre, maria, françois, hélène, noël',
    'day': 'lundi, mardi, mercredi, jeudi, vendredi, samedi, dimanche',
    'direction': 'la gauche, la droite, là-bas',
  },
)
_ARABIC = Language(
  voice='sem/ar',
  numbers='ar',
  digits='صفر, واحد, اثنان, ثلاثة, أربعة, خمسة, ستة, سبعة, ثمانية, تسعة',
  templates=(
    '{switch} {device} في {room}',
    'اضبط {device} في {room} على {number}',
    '{move} {opening} ثم انتظر',
    'اتصل مع {name} يوم {day}',
    '{digits}',
  ),
  options={
    'switch': 'شغل, أطفئ',
    'device': 'الضوء, المصباح, المدفأة, المروحة, الكاميرا',
    'room': 'المطبخ, الحمام, الممر, الحديقة, المكتب',
    'move': 'افتح, أغلق',
    'opening': 'الباب, النافذة',
    'name': 'مريم, أحمد, فاطمة, يوسف, ليلى',
    'day': 'الاثنين, الثلاثاء, الأربعاء, الخميس, الجمعة',
  },
)
_HINDI = Language(
  voice='inc/hi',
  numbers='',
  digits='शून्य, एक, दो, तीन, चार, पाँच, छह, सात, आठ, नौ',
  templates=(
    '{room} {device} {switch} करो',
    '{device} को {number} पर रखो',
    '{opening} {move} और रुको',
    '{day} को {name} को फ़ोन करो',
    '{number} कदम {direction} जाओ',
    '{digits}',
  ),
  options={
    'room': 'रसोई की, कमरे की, बगीचे की, दफ़्तर की',
    'device': 'बत्ती, घंटी, मशीन, खिड़की',
    'switch': 'चालू, बंद',
    'opening': 'दरवाज़ा, ढक्कन, डिब्बा',
    'move': 'खोलो, लगाओ',
    'day': 'सोमवार, मंगलवार, बुधवार, गुरुवार, शुक्रवार, शनिवार, रविवार',
    'name': 'अनिता, राहुल, मीरा, सुरेश, ज़ोया',
    'direction': 'बाएँ, दाएँ, ऊपर, नीचे, पीछे',
  },
)
_MANDARIN = Language(
  voice='sit/cmn',
  numbers='',
  digits='零, 一, 二, 三, 四, 五, 六, 七, 八, 九',
  templates=(
    '{switch}{room}的{device}',
    '把{room}的{device}调到{number}',
    '请{move}{opening}然后等一下',
    '星期{day}给{name}打电话',
    '向{direction}走{number}步',
    '{digits}',
  ),
  options={
    'switch': '打开, 关掉',
    'room': '厨房, 客厅, 卧室, 车库, 花园, 办公室',
    'device': '灯, 空调, 风扇, 收音机, 电视',
    'move': '打开, 关上',
    'opening': '门, 窗户',
    'day': '一, 二, 三, 四, 五, 六, 天',
    'name': '小王, 小李, 妈妈, 爸爸, 老师',
    'direction': '左, 右, 前, 后',
  },
  between='',
)
LANGUAGES = {
  'de': _GERMAN,
  'es': _SPANISH,
  'fr': _FRENCH,
  'ar': _ARABIC,
  'hi': _HINDI,
  'cmn': _MANDARIN,
}


def of_config(cfg: config.SyntheticConfig) -> Language | None:
  """The language; None of English, which has grammars of its own.

  Raises:
    ConfigError: there is no grammar of it.
  """
  if cfg.language == ENGLISH:
    return None
  if cfg.language not in LANGUAGES:
    raise config.ConfigError(
      f'config.data.synthetic.language={cfg.language!r}; want one that there '
      f'is a grammar of: {", ".join([ENGLISH, *LANGUAGES])}.'
    )
  if cfg.grammar not in (config.Grammar.DIGITS, config.Grammar.COMMANDS):
    raise config.ConfigError(
      f'config.data.synthetic.grammar={cfg.grammar}; want digits or commands '
      f'for data.synthetic.language={cfg.language}.'
    )
  return LANGUAGES[cfg.language]
